import { HdpoError } from '../core/errors.js'

/** Refuses an id that comes twice, because rollouts, knowledge and metrics are kept by id. */
export class UniqueIds {
  readonly #places = new Map<string, string>()

  /** `place` is within the file ('line 3'); `where` names the file too. */
  add(id: string, place: string, where: string): void {
    const earlier = this.#places.get(id)
    if (earlier !== undefined)
      throw new HdpoError('ERR_TASKS', `${where}: id ${JSON.stringify(id)} is that of ${earlier} too`)
    this.#places.set(id, place)
  }
}
