// Loaded before a small run: a file beyond the limit of `ulimit -f` is an error of the write, as on a full disk, and not the end of
// the process.
process.on('SIGXFSZ', () => {})
