import { describe, expect, it } from 'vitest'
import { multiplyAddLoops, spills } from '../../scripts/cpu-kernels.mjs'

/** A listing of two nested loops; the inner one is the kernel's. */
const listing = (name: string, inner: string, outer = '') => `
	.type	${name}, @function
${name}:
	pushq	%rbp
.L2:
	vmovaps	%ymm1, 96(%rsp)
.L3:
	vbroadcastss	(%rsi,%rax,4), %ymm4
	vfmadd231ps	(%rcx), %ymm4, %ymm2
	${inner}
	jne	.L3
	${outer}
	jmp	.L2
	.size	${name}, .-${name}
`
const kernel = '_ZN4hdpo12_GLOBAL__N_111scoreBlocksILi2ELi4EfEEvPf'

describe('the assembly of kernels', () => {
  it('passes where sums stay in registers, whatever is stored between loops', () => {
    const assembly = listing(kernel, 'vmovaps	%ymm2, (%rdx)', 'vmovaps	%ymm2, -24(%rsp)')
    expect(spills(assembly)).toEqual([])
    expect(multiplyAddLoops(assembly)).toBe(1)
  })

  it('fails for a loop that keeps a vector on the stack', () => {
    const instruction = 'vmovaps	%ymm8, -24(%rsp)'
    expect(spills(listing(kernel, instruction))).toEqual([{ name: kernel, label: '.L3', instruction }])
  })

  it('knows a frame pointer as the stack, and as a register like others without one', () => {
    const instruction = 'vmovdqa32	%zmm7, -120(%rbp)'
    expect(spills(listing(kernel, instruction))).toEqual([])
    const framed = listing(kernel, instruction).replace('pushq	%rbp', 'pushq	%rbp\n	movq	%rsp, %rbp')
    expect(spills(framed)).toHaveLength(1)
  })

  it('reads kernels alone: other functions may spill', () => {
    expect(spills(listing('_ZN4hdpo9forwardEv', 'vmovaps	%ymm8, -24(%rsp)'))).toEqual([])
    expect(multiplyAddLoops(listing('_ZN4hdpo9forwardEv', ''))).toBe(0)
  })
})
