/** pairgate on Bun: its `Bun.serve` tidies paths up before anybody sees them, its `node:http` does not. @module */

export { serve } from './node.ts'
