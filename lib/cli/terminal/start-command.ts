/** What to type before a command's name: a clone runs the TypeScript sources, an installed package runs its own binary. */
export const startCommand = import.meta.url.endsWith('.ts') ? 'npm run hdpo --' : 'npx hdpo'
