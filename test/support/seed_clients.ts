/** The first seed's own Python clients, and a way to run them. @module */

import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// The clients, line for line as the seed's document shows them; the names that it leaves out come from the arguments.
const CLIENT_LOGIN = `
import json, secrets, sys, webbrowser
from time import sleep, time
import httpx
host, token_file = sys.argv[1:]

def poll_token(paircode, host, interval=1, timeout=180):
    "Poll server for token until received or timeout"
    start = time()
    client = httpx.Client()
    while time()-start < timeout:
        resp = client.get(f"http://{host}/token?paircode={paircode}").raise_for_status()
        if resp.text.strip(): return dict(client.cookies)
        sleep(interval)

paircode = secrets.token_urlsafe(16)
url = f'http://{host}/cli_login?paircode={paircode}'
login_url = httpx.get(url).text
webbrowser.open(login_url)
# Save the session cookies
cookies = poll_token(paircode, host)
if cookies:
    with open(token_file, 'w') as f: json.dump(cookies, f)
    print(f"Token saved to {token_file}")
`
const CLIENT_DO = `
import json, sys
from pathlib import Path
import httpx
host, token_file = sys.argv[1:]
Path.read_json = lambda self: json.loads(self.read_text())  # fastcore's

def get_client(cookie_file):
    client = httpx.Client()
    cookies = Path(cookie_file).read_json()
    client.cookies.update(cookies)
    return client

client = get_client(token_file)
url = f'http://{host}/secured'
res = client.get(url).text
print(res)
`
// What the clients use of httpx, for where it is not installed: a jar, text, and an error for what is no 2xx.
const HTTPX = `
import http.cookiejar, urllib.error, urllib.request
class Response:
    def __init__(self, raw): self.status_code, self.text = raw.status, raw.read().decode()
    def raise_for_status(self):
        if not 200 <= self.status_code < 300: raise RuntimeError(f'HTTP {self.status_code}')
        return self
class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *a): return None
class Client:
    def __init__(self): self.cookies, self.jar = {}, http.cookiejar.CookieJar()
    def get(self, url):
        handlers = [urllib.request.ProxyHandler({}), NoRedirect, urllib.request.HTTPCookieProcessor(self.jar)]
        request = urllib.request.Request(url)
        if self.cookies: request.add_header('Cookie', '; '.join(f'{k}={v}' for k, v in self.cookies.items()))
        try: response = Response(urllib.request.build_opener(*handlers).open(request))
        except urllib.error.HTTPError as error: response = Response(error)
        self.cookies.update({c.name: c.value for c in self.jar})
        return response
def get(url): return Client().get(url)
`

const python = (...args: string[]) => spawnSync('python3', args, { encoding: 'utf8' })
/** Whether there is a Python to run the clients with. */
export const hasPython = python('--version').status === 0
/** Whether it has the library that the clients use; otherwise a stand-in is put beside them. */
export const hasHttpx = hasPython && python('-c', 'import httpx').status === 0

/** A client under way. */
export interface SeedClient {
  /** Resolves to the link that it opened in the browser. Rejects when it ends before. */
  readonly link: Promise<string>
  /** Resolves to its exit code and all that it wrote. */
  readonly ended: Promise<[number | null, string]>
}

/** A directory with both clients in it; they keep their cookies in `auth_token.txt` there. */
export interface SeedClients {
  run(script: 'client-login.py' | 'client-do.py'): SeedClient
  /** The cookies that were saved, by name. */
  cookies(): Record<string, string>
  remove(): void
}

/**
 * Writes the clients down, to be run.
 *
 * @param host What they know of the server: host, port and path.
 */
export function createSeedClients(host: string): SeedClients {
  const directory = mkdtempSync(join(tmpdir(), 'seed-'))
  writeFileSync(join(directory, 'client-login.py'), CLIENT_LOGIN)
  writeFileSync(join(directory, 'client-do.py'), CLIENT_DO)
  if (!hasHttpx) writeFileSync(join(directory, 'httpx.py'), HTTPX)
  return {
    run(script) {
      // the `browser` prints the link
      const env = { ...process.env, BROWSER: 'echo %s', PYTHONUNBUFFERED: '1' }
      const child = spawn('python3', [script, host, 'auth_token.txt'], { cwd: directory, env })
      let output = ''
      const ended = new Promise<[number | null, string]>((resolve) =>
        child.once('close', (code) => resolve([code, output])),
      )
      const link = new Promise<string>((resolve, reject) => {
        for (const stream of [child.stdout, child.stderr])
          stream.setEncoding('utf8').on('data', (text: string) => {
            output += text
            const [url] = /^http\S+(?=\n)/m.exec(output) ?? []
            if (url) resolve(url)
          })
        ended.then(() => reject(new Error(`No link: ${output}`)))
      })
      link.catch(() => {}) // the second client opens none
      return { link, ended }
    },
    cookies: () => JSON.parse(readFileSync(join(directory, 'auth_token.txt'), 'utf8')),
    remove: () => rmSync(directory, { recursive: true }),
  }
}
