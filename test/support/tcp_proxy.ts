/** A wire that can be cut: forwards a TCP port, and loses what it is told to lose. @module */

import { connect, createServer, type Socket } from 'node:net'

/** What may happen to a statement on its way. */
export type Loss = 'request' | 'answer'

/** A running proxy. */
export interface TcpProxy {
  readonly port: number
  /** Cuts the connection of the next statement that holds this text, before it gets there or after it has run. */
  lose(what: Loss, text: string): void
  /** How often something was lost. */
  readonly lost: number
  /** Whether it cuts everybody off who comes. */
  isClosed: boolean
  /** How often somebody was cut off who came. */
  readonly refused: number
  /** Whether it holds everything back, as a network does that lets nothing through. */
  isPaused: boolean
  /** Lets nobody in, and cuts everybody off. */
  shut(): Promise<void>
  /** Lets everybody in again. */
  reopen(): Promise<void>
  close(): Promise<void>
}

/** Starts a proxy on a free port in front of another one. */
export async function startTcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let loss: { what: Loss; text: string } | undefined
  let lost = 0
  let refused = 0
  const server = createServer((client) => {
    if (proxy.isClosed) {
      refused++
      client.resetAndDestroy()
      return
    }
    const upstream = connect(target, '127.0.0.1')
    const cut = () => {
      lost++
      client.resetAndDestroy()
      upstream.destroy()
    }
    let isAnswerLost = false
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (chunk) => {
      if (proxy.isPaused) return
      if (loss && chunk.includes(loss.text)) {
        const { what } = loss
        loss = undefined
        if (what === 'request') return cut()
        isAnswerLost = true
      }
      upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      if (proxy.isPaused) return
      if (isAnswerLost) return cut()
      client.write(chunk)
    })
  })
  const listen = (port: number) =>
    new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()))
  const shut = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  await listen(0)
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const proxy: TcpProxy = {
    port,
    isClosed: false,
    isPaused: false,
    get refused() {
      return refused
    },
    lose: (what, text) => {
      loss = { what, text }
    },
    get lost() {
      return lost
    },
    shut,
    reopen: () => listen(port),
    close: shut,
  }
  return proxy
}
