/** Writes what was measured into `bench/results.md`, one section at a time. @module */

import { readFileSync, writeFileSync } from 'node:fs'

const FILE = new URL('results.md', import.meta.url)

/** The comments around a section, made of its title. */
function markers(title: string): { begin: string; end: string } {
  const name = title.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  return { begin: `<!-- begin ${name} -->`, end: `<!-- end ${name} -->` }
}

/**
 * Replaces one section of `bench/results.md`, and leaves all others as they are. One that is not there yet comes last.
 *
 * @param title Its heading, without `##`: it names the section too, so keep figures and dates out of it.
 * @param markdown What stands below the heading. Further headings begin with `###`.
 */
export function writeSection(title: string, markdown: string): void {
  const { begin, end } = markers(title)
  const text = readFileSync(FILE, 'utf8')
  const section = `${begin}\n## ${title}\n\n${markdown.trim()}\n${end}`
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  const isThere = from >= 0 && to > from
  writeFileSync(
    FILE,
    isThere
      ? text.slice(0, from) + section + text.slice(to + end.length)
      : `${text.trimEnd()}\n\n${section}\n`,
  )
}
