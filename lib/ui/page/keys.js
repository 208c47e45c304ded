// Keyboard shortcuts. They are off while somebody types.
import { move, moveInGroup } from '/rollouts.js'
import { go, place, state, theme } from '/state.js'

export const keys = [
  ['1', 'overview'],
  ['2', 'rollouts'],
  ['j / k', 'next, previous rollout'],
  ['l / h', 'next, previous of the group'],
  ['t', 'what tints the tokens'],
  ['/', 'search'],
  ['d', 'light or dark'],
  ['?', 'these keys'],
]

const tints = ['doubt', 'accuracy', 'efficiency']

export function listenForKeys({ rerender, toggleTheme, toggleHelp }) {
  const actions = {
    1: () => go('overview', {}),
    2: () => go('rollouts', {}),
    j: () => move(1),
    ArrowDown: () => move(1),
    k: () => move(-1),
    ArrowUp: () => move(-1),
    l: () => moveInGroup(1),
    h: () => moveInGroup(-1),
    t: () => {
      state.tint = tints[(tints.indexOf(state.tint) + 1) % tints.length]
      rerender()
    },
    '/': () => {
      if (place().page === 'rollouts') document.querySelector('#search')?.focus()
      else {
        go('rollouts', {})
        setTimeout(() => document.querySelector('#search')?.focus(), 50)
      }
    },
    d: toggleTheme,
    '?': toggleHelp,
  }
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape') document.activeElement?.blur()
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.target instanceof Element && event.target.closest('input, select, textarea')) return
    if (event.key.startsWith('Arrow') && place().page !== 'rollouts') return
    const action = Object.hasOwn(actions, event.key) ? actions[event.key] : undefined
    if (!action) return
    event.preventDefault()
    action()
  })
}

export function toggledTheme() {
  return theme() === 'dark' ? 'light' : 'dark'
}
