/** The body of a request, read once, up to a limit. @module */

/** Longest body that is read, in bytes. */
const MAX_BODY = 65_536
/** How much of a longer one is drained, so that the answer arrives instead of a reset connection. */
const MAX_DRAIN = 8 * 1024 * 1024

/** What can be wrong with a body. */
export const BODY_FAILURES = {
  'read before': {
    status: 500,
    title: 'Mounted too late',
    text: 'The body of this request was read before pairgate got it: mount pairgate before body parsers',
  },
  'too long': { status: 413, title: 'Too long', text: `A body may have ${MAX_BODY} bytes` },
  'broken off': { status: 400, title: 'Broken off', text: 'The request ended before its body did' },
} as const

/** A body as text, or what is wrong with it. */
export type Body = { readonly text: string } | { readonly failure: keyof typeof BODY_FAILURES }

/** Reads what has no announced length, piece by piece. */
async function readChunks(stream: AsyncIterable<Uint8Array>): Promise<Body> {
  const decoder = new TextDecoder()
  let text = ''
  let length = 0
  for await (const chunk of stream) {
    length += chunk.length
    if (length <= MAX_BODY) text += decoder.decode(chunk, { stream: true })
    else if (length > MAX_DRAIN) break
  }
  return length > MAX_BODY ? { failure: 'too long' } : { text: text + decoder.decode() }
}

/**
 * Reads a body up to the limit, chunked or not; says so when it is longer, or breaks off. What is not UTF-8 becomes
 * U+FFFD.
 */
export async function readBody(request: Request): Promise<Body> {
  const { method, headers } = request
  // there is none, and to look for it makes servers make a stream
  if (method === 'GET' || method === 'HEAD') return { text: '' }
  if (request.bodyUsed) return { failure: 'read before' }
  const announced = headers.get('content-length')
  try {
    // servers hold whoever announces a length to it; without a stream it costs a tenth
    if (announced !== null && Number(announced) <= MAX_BODY) {
      const text = await request.text()
      return text.length <= MAX_BODY ? { text } : { failure: 'too long' }
    }
    const stream = request.body as unknown as AsyncIterable<Uint8Array> | null
    return stream ? await readChunks(stream) : { text: '' }
  } catch {
    return { failure: 'broken off' }
  }
}
