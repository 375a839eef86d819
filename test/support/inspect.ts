/** By hand what axe checks: labels, names, sizes, contrast, width. @module */

/** What is wrong with a page, in words. Runs inside it, so it must need nothing from outside of itself. */
export function inspectPage(): string[] {
  const wrong: string[] = []
  const check = (isGood: boolean, what: string) => isGood || wrong.push(what)
  const name = (element: Element) => `<${element.localName}> "${element.textContent?.trim().slice(0, 30)}"`
  const parse = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number)
  const luminance = (rgb: number[]) => {
    const [r = 0, g = 0, b = 0] = rgb.map((value) => {
      const part = value / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const contrast = (one: string, other: string) => {
    const [low = 0, high = 0] = [luminance(parse(one)), luminance(parse(other))].sort((a, b) => a - b)
    return (high + 0.05) / (low + 0.05)
  }
  const background = (element: Element | null): string => {
    const color = element ? getComputedStyle(element).backgroundColor : 'rgb(255, 255, 255)'
    return parse(color)[3] === 0 ? background(element?.parentElement ?? null) : color
  }

  check(document.compatMode === 'CSS1Compat', 'no doctype')
  check(document.documentElement.lang === 'en', 'no language')
  check(document.title.length > 5, 'no title')
  check(document.querySelectorAll('h1').length === 1, 'not one h1')
  check(document.querySelectorAll('main').length === 1, 'not one main')
  check(!!document.querySelector('meta[name=viewport]'), 'no viewport')
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id)
  check(new Set(ids).size === ids.length, 'an id twice')
  for (const element of document.querySelectorAll('[aria-describedby]'))
    check(
      ids.includes(element.getAttribute('aria-describedby') ?? ''),
      `${name(element)} described by nothing`,
    )
  for (const input of document.querySelectorAll<HTMLInputElement>(
    'input:not([type=hidden]), select, textarea',
  )) {
    check(
      [...(input.labels ?? [])].some((label) => label.textContent?.trim()),
      `input ${input.name} has no label`,
    )
    check(contrast(getComputedStyle(input).borderColor, background(input)) >= 3, `border of ${input.name}`)
    check(
      !input.placeholder ||
        contrast(getComputedStyle(input, '::placeholder').color, background(input)) >= 4.5,
      `placeholder of ${input.name}`,
    )
    check(parse(getComputedStyle(input).fontSize)[0]! >= 16, `${input.name} makes phones zoom in`)
  }
  for (const element of document.querySelectorAll('button:not([hidden]), a, summary')) {
    const box = element.getBoundingClientRect()
    check(!!element.textContent?.trim(), `${element.outerHTML} has no name`)
    check(element.localName !== 'button' || !!element.closest('form'), `${name(element)} is in no form`)
    check(box.width >= 24 && box.height >= 24, `${name(element)} is smaller than 24 x 24`)
  }
  for (const element of document.querySelectorAll('[hidden]'))
    check(element.getBoundingClientRect().width === 0, `${name(element)} is hidden, and can be seen`)
  for (const element of document.querySelectorAll('body *')) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent?.trim())
    const ratio = contrast(getComputedStyle(element).color, background(element))
    check(!hasText || ratio >= 4.5, `${name(element)} has contrast ${ratio.toFixed(2)}`)
  }
  check(
    document.documentElement.scrollWidth <= innerWidth,
    `scrolls sideways: ${document.documentElement.scrollWidth}`,
  )
  return wrong
}
