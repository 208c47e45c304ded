// Loaded before a small run: after a while the clock of the process is another one. JUMP is '{"after": 500, "by": -86400000}', both
// in milliseconds.
const { after, by } = JSON.parse(process.env.JUMP)
const RealDate = Date
const begun = performance.now()
const jump = () => (performance.now() - begun >= after ? by : 0)

globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(RealDate.now() + jump())
    else super(...given)
  }

  static now() {
    return RealDate.now() + jump()
  }
}
