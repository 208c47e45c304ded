// How far a judge agrees with itself when it is asked the same question several times.

export interface Agreement {
  /** Number of questions with at least two votes. */
  judged: number
  /** Share of pairs of votes on a question that agree, mean over questions; 1 if nothing was asked twice. */
  pairwise: number
  /** Share of questions on which all votes agree. */
  unanimous: number
  /** Fleiss' kappa: pairwise agreement beyond chance, at most 1, 0 for chance; 1 if all votes were the same. */
  kappa: number
}

export class AgreementCount {
  #judged = 0
  #pairwise = 0
  #unanimous = 0
  #votes = 0
  #yes = 0

  /** Adds the votes on one question. */
  add(votes: readonly boolean[]): void {
    const count = votes.length
    if (count < 2) return
    const yes = votes.filter(Boolean).length
    const no = count - yes
    this.#judged++
    this.#pairwise += (yes * (yes - 1) + no * (no - 1)) / (count * (count - 1))
    this.#unanimous += Number(yes === 0 || no === 0)
    this.#votes += count
    this.#yes += yes
  }

  get result(): Agreement {
    if (this.#judged === 0) return { judged: 0, pairwise: 1, unanimous: 1, kappa: 1 }
    const pairwise = this.#pairwise / this.#judged
    const share = this.#yes / this.#votes
    const byChance = share ** 2 + (1 - share) ** 2
    return {
      judged: this.#judged,
      pairwise,
      unanimous: this.#unanimous / this.#judged,
      kappa: byChance === 1 ? 1 : (pairwise - byChance) / (1 - byChance),
    }
  }
}
