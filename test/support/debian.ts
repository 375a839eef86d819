/** Programs of Debian packages that are not installed, unpacked into a folder that later runs use again. @module */

import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Where the number of a cached folder's entries is: cleaners of temporary files may take some away. */
const COUNT = '.entries'

const countEntries = (folder: string) => readdirSync(folder, { recursive: true }).length

function isComplete(folder: string): boolean {
  const count = join(folder, COUNT)
  return existsSync(count) && Number(readFileSync(count, 'utf8')) === countEntries(folder)
}

/** The folder for what is kept from one run to the next. Nobody else may have put anything into it. */
function cacheFolder(): string {
  const folder = join(tmpdir(), `pairgate-cache-${process.getuid?.()}`)
  mkdirSync(folder, { recursive: true })
  const found = lstatSync(folder)
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new Error(`Expected ${folder} to be a folder of this user's, it is somebody else's: remove it`)
  }
  // servers that run as another user read it
  chmodSync(folder, 0o755)
  return folder
}

/**
 * Makes a folder once and keeps it for later runs. Several processes may do so at the same time.
 *
 * @param key What the folder is made of: another key is another folder.
 * @param make Fills an empty folder.
 */
export async function cached(key: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), createHash('sha256').update(key).digest('hex').slice(0, 16))
  const fresh = `${folder}.${process.pid}.${randomBytes(4).toString('hex')}`
  const isThere = existsSync(folder)
  if (isComplete(folder)) return folder
  if (isThere) await rename(folder, `${fresh}.old`).catch(() => {})
  try {
    await mkdir(fresh)
    await make(fresh)
    await writeFile(join(fresh, COUNT), String(countEntries(fresh) + 1))
    await rename(fresh, folder).catch((error) => {
      // another process was quicker
      if (!isComplete(folder)) throw error
    })
    return folder
  } finally {
    for (const left of [fresh, `${fresh}.old`]) await rm(left, { recursive: true, force: true })
  }
}

/** The environment in which a root folder's programs and libraries are found first. */
export function environmentOf(root: string): NodeJS.ProcessEnv {
  const folders = ['usr/lib', 'lib']
    .map((folder) => join('/', root, folder))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => name.endsWith('-linux-gnu'))
        .map((name) => join(folder, name)),
    )
  const programs = ['usr/sbin', 'usr/bin', 'sbin', 'bin'].map((folder) => join('/', root, folder))
  const path = [...programs, process.env.PATH, '/usr/sbin', '/sbin'].join(delimiter)
  return { LC_ALL: 'C', PATH: path, LD_LIBRARY_PATH: folders.join(delimiter) }
}

/** Runs `apt-get` without changing anything outside of `folder`. Resolves to what it says, warnings apart. */
async function aptGet(folder: string, args: readonly string[]) {
  const settings = ['APT::Sandbox::User=root', 'Acquire::Retries=2', 'Acquire::http::Timeout=20']
  return await run('apt-get', ['-q', ...settings.flatMap((one) => ['-o', one]), ...args], {
    cwd: folder,
    env: { ...process.env, LC_ALL: 'C' },
    maxBuffer: 2 ** 26,
    timeout: 180_000,
  })
}

/** Downloads packages, with the libraries they need and this machine lacks. */
async function download(folder: string, packages: readonly string[], lists: readonly string[]) {
  const install = ['-s', '--no-install-recommends', 'install']
  const { stdout: plan } = await aptGet(folder, [...lists, ...install, ...packages])
  // an upgrade has the old version in brackets; scripts' libraries are not needed
  const libraries = [...plan.matchAll(/^Inst (lib\S+) \(/gm)]
    .map(([, name]) => String(name))
    .filter((name) => !name.endsWith('-perl'))
  await aptGet(folder, [...lists, 'download', ...new Set([...packages, ...libraries])])
}

async function downloadAnyhow(folder: string, packages: readonly string[]): Promise<void> {
  try {
    await download(folder, packages, [])
  } catch {
    // no package lists, or old ones: new ones of our own
    await mkdir(join(folder, 'lists', 'partial'), { recursive: true })
    await mkdir(join(folder, 'cache', 'archives', 'partial'), { recursive: true })
    const lists = ['-o', `Dir::State::lists=${folder}/lists`, '-o', `Dir::Cache=${folder}/cache`]
    // it succeeds without a network too, and only warns
    const { stderr: warnings } = await aptGet(folder, [...lists, 'update'])
    await download(folder, packages, lists).catch((error) => {
      throw new Error(`${warnings}${error.stderr || error.message}`, { cause: error })
    })
  }
}

/**
 * Brings programs from Debian without installing them, with the libraries they need and this machine lacks.
 * Needs no rights, and changes nothing of the system.
 *
 * @returns The root folder that has them; see {@link environmentOf}. Rejects when there is no Debian or no network.
 */
export async function bring(packages: readonly string[]): Promise<string> {
  const wanted = [...packages].sort()
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
  try {
    return await cached(`${release}\n${process.arch}\n${wanted.join(' ')}`, async (root) => {
      const folder = `${root}.apt`
      await mkdir(folder)
      try {
        await downloadAnyhow(folder, wanted)
        for (const name of readdirSync(folder).filter((one) => one.endsWith('.deb'))) {
          await run('dpkg', ['-x', join(folder, name), root])
        }
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    })
  } catch (cause) {
    const names = wanted.join(' ')
    const { message } = cause as Error
    throw new Error(`Expected to download from Debian, or to find installed: ${names}\n${message}`, { cause })
  }
}
