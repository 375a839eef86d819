/**
 * Stands in for `Intl.Segmenter` in the bundled command. A library makes one while it is loaded, which takes ten
 * milliseconds of each start, and most commands never use it.
 *
 * @module
 */

const { Segmenter } = Intl

/** Becomes a real one when it is asked for something. */
export class LazySegmenter {
  readonly #options: ConstructorParameters<typeof Segmenter>
  #segmenter: Intl.Segmenter | undefined

  constructor(...options: ConstructorParameters<typeof Segmenter>) {
    this.#options = options
  }

  /** As `Intl.Segmenter` has it. */
  segment(text: string): Intl.Segments {
    this.#segmenter ??= new Segmenter(...this.#options)
    return this.#segmenter.segment(text)
  }
}
