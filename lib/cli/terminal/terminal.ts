// Where commands write to. On a terminal one status line is redrawn in place; elsewhere every status is printed as a line of its
// own.
interface Output {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
}

const clearLine = '\r\u001b[2K'

export class Terminal {
  #status = ''

  constructor(private readonly output: Output = process.stdout) {}

  get interactive(): boolean {
    return this.output.isTTY === true
  }

  /** A line that stays. */
  line(text = ''): void {
    if (this.#status !== '') this.output.write(clearLine)
    this.output.write(`${text}\n`)
    if (this.#status !== '') this.output.write(this.#status)
  }

  /** Shows what is going on now; on a terminal it replaces the previous status. */
  status(text: string): void {
    if (!this.interactive) {
      this.line(text)
      return
    }
    // The status is cut to one line, because a line that wraps could not be cleared again.
    this.#status = text.slice(0, (this.output.columns ?? 120) - 1)
    this.output.write(clearLine + this.#status)
  }

  /** Ends the status: clears it on a terminal. */
  done(): void {
    if (this.#status === '') return
    this.output.write(clearLine)
    this.#status = ''
  }
}
