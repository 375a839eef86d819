/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** What several forms have in common: what they hide, what went wrong, what can be chosen. @module */

/** Fields that the person does not see. */
export function Hidden({ fields }: { fields: Readonly<Record<string, string>> }) {
  return (
    <>
      {Object.entries(fields).map(([name, value]) => (
        <input type="hidden" name={name} value={value} />
      ))}
    </>
  )
}

/** What went wrong, read aloud at once. A page has at most one, and the field that it is about is described by it. */
export function Problem({ text }: { text: string | undefined }) {
  if (!text) return null
  return (
    <p class="error" role="alert" id="problem">
      {text}
    </p>
  )
}

/** What is allowed without any scope. */
export const NO_SCOPES = 'Your account here, nothing more'

/** One of the scopes that may be ticked. */
export interface ScopeChoice {
  readonly token: string
  /** What it allows. */
  readonly words: string
  readonly ticked: boolean
}

/** Name of the field of a scope. Each has its own, since no parameter may come twice. */
export const scopeField = (token: string) => `scope:${token}`

/** A box to tick for each scope. */
export function ScopeBoxes({ scopes }: { scopes: readonly ScopeChoice[] }) {
  return (
    <>
      {scopes.map(({ token, words, ticked }) => (
        <label class="choice">
          <input type="checkbox" name={scopeField(token)} value="1" checked={ticked} />
          <span>{words}</span>
        </label>
      ))}
    </>
  )
}

/** An organisation that may be chosen. */
export interface TenantChoice {
  readonly id: string
  readonly name: string
}

/** A button for each organisation; none is chosen for the person. */
export function TenantButtons(props: {
  tenants: readonly TenantChoice[]
  chosen: string | undefined
  required?: boolean
}) {
  const { tenants, chosen, required } = props
  return (
    <>
      {tenants.map(({ id, name }) => (
        <label class="choice">
          <input type="radio" name="tenant" value={id} checked={id === chosen} required={required} />
          <span>{name}</span>
        </label>
      ))}
    </>
  )
}
