#!/usr/bin/env node
// A clone runs the command from its sources. What people install has it as one file, built of them, for Node 20 too.
import { existsSync } from 'node:fs'

const sources = new URL('./from_sources.js', import.meta.url)
const built = new URL('../dist/pairgate.js', import.meta.url)
const { main } = await import(existsSync(sources) ? sources.href : built.href)
process.exitCode = await main()
