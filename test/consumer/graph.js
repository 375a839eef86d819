// Imports what the argument names, and prints the URL of every module that this brings in.
import { registerHooks } from 'node:module'
import process from 'node:process'

const urls = []
registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context)
    urls.push(found.url)
    return found
  },
})
await import(process.argv[2])
console.log(JSON.stringify(urls))
