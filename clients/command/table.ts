/** Lists for people: a table where it fits, else one paragraph a row. Pure. @module */

/** One row: what it is called, and what there is to know of it. */
export interface Row {
  /** Stands before the row, as a mark; one column wide. Empty: none. */
  readonly mark: string
  /** In the order of the headings. */
  readonly cells: readonly string[]
}

const WIDE =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u

const segments = (text: string) => [...new Intl.Segmenter().segment(text)].map(({ segment }) => segment)

const widthOf = (segment: string) => (WIDE.test(segment) ? 2 : 1)

/** How many columns of a terminal a text takes. */
export function textWidth(text: string): number {
  return segments(text).reduce((sum, segment) => sum + widthOf(segment), 0)
}

/** Cuts a text to so many columns, with `…` at the end where something is missing. */
export function cut(text: string, width: number): string {
  if (textWidth(text) <= width) return text
  let left = width - 1
  const kept = segments(text).filter((segment) => {
    left -= widthOf(segment)
    return left >= 0
  })
  return `${kept.join('')}…`
}

const pad = (text: string, width: number) => text + ' '.repeat(Math.max(0, width - textWidth(text)))

/** Least width that a cell is cut to; below that, a table is no help. */
const LEAST = 8

const GAP = 2

/** Takes from the widest of the columns that may be cut until all fit; null when they cannot. */
function shrink(widths: readonly number[], flexible: readonly number[], room: number): number[] | null {
  const fitted = [...widths]
  let excess = fitted.reduce((sum, width) => sum + width + GAP, 0) - room
  while (excess > 0) {
    const [widest = -1] = [...flexible].sort((a, b) => (fitted[b] ?? 0) - (fitted[a] ?? 0))
    const width = fitted[widest] ?? 0
    if (width <= LEAST) return null
    fitted[widest] = width - 1
    excess--
  }
  return fitted
}

/**
 * Lays rows out.
 *
 * @param options.flexible Which columns may be cut, by number.
 * @param options.width Columns of the terminal. Infinite where there is none: then nothing is cut.
 * @returns Lines; without rows none.
 */
export function layOut(
  headings: readonly string[],
  rows: readonly Row[],
  { flexible, width }: { readonly flexible: readonly number[]; readonly width: number },
): string[] {
  if (rows.length === 0) return []
  const all = [{ mark: '', cells: headings }, ...rows]
  const widths = headings.map((_, i) => Math.max(...all.map(({ cells }) => textWidth(cells[i] ?? ''))))
  const fitted = shrink(widths, flexible, width)
  if (!fitted) return rows.flatMap((row) => paragraph(headings, row, width))
  return all.map(({ mark, cells }) =>
    `${mark || ' '} ${cells.map((cell, i) => pad(cut(cell, fitted[i] ?? 0), fitted[i] ?? 0)).join(' '.repeat(GAP))}`.trimEnd(),
  )
}

/** One cell a line, for narrow terminals. */
function paragraph(headings: readonly string[], { mark, cells }: Row, width: number): string[] {
  const label = Math.max(...headings.map(textWidth))
  return [
    ...cells.map((cell, i) =>
      cut(`${i === 0 ? mark || ' ' : ' '} ${pad(headings[i] ?? '', label)}  ${cell || '-'}`, width),
    ),
    '',
  ]
}
