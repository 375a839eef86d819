/** Paths as they come in. @module */

/**
 * Tells whether a request's target has dot segments, plain or encoded. Programs resolve them before they send; one that
 * does not wants to get past whoever compared the path, such as a proxy that asks at `/authz/ext`.
 *
 * @param target As it came: a `URL` has resolved them.
 */
export function hasDotSegments(target: string): boolean {
  const [path = ''] = target.split(/[?#]/, 1)
  return /[/\\](\.|%2e){1,2}([/\\]|$)/i.test(path)
}
