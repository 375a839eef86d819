/** What a mutant is: the code, broken in exactly the way that one requirement rules out. @module */

/** A change that must make a test fail. */
export interface Mutant {
  /** The requirement that is broken. */
  readonly id: string
  /** The file that is changed; path from the root. */
  readonly file: string
  /** What is there, exactly once. */
  readonly from: string
  /** What is put there. */
  readonly to: string
  /** The file of the tests that must notice. */
  readonly test: string
  /** Which of them, as `vitest -t` takes it; `\W+` is between a test and what it is in. Default: those of the requirement. */
  readonly title?: string
  /** Whether the tests need the shared MariaDB, which takes a few seconds to start. */
  readonly mariadb?: boolean
}
