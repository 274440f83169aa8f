// A person with a browser: headless Chromium opens the page of a device login and approves it, or says no.
//
// usage: node tests/peers/approve.mjs URI [approve|deny] [LOGIN] [USER_CODE]
//
// URI is verification_uri_complete, or verification_uri with the USER_CODE that the person then types in.
// Prints what the page said last ('approved: Sign-in Success') and exits 0; exits 1 when a page is not what it expects.
// Ends within LIMIT seconds whatever the pages do, and takes the browser along.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installed } from './peer.mjs';

const LIMIT = 60;
const [uri, answer = 'approve', login = 'alice', code] = process.argv.slice(2);
if (!uri || !['approve', 'deny'].includes(answer)) {
  console.error('usage: node approve.mjs URI [approve|deny] [LOGIN] [USER_CODE]');
  process.exit(64);
}
const { default: puppeteer } = await installed('puppeteer-core');

const home = mkdtempSync(join(tmpdir(), 'qwen-browser-'));
process.on('exit', () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  headless: true,
  userDataDir: join(home, 'profile'),
  env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home },
  timeout: LIMIT * 1000,
  // The sandbox needs a kernel that lets root make one; the rest keeps Chromium from calling anyone but the server.
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run',
    '--no-default-browser-check', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-extensions', '--disable-default-apps', '--disable-domain-reliability', '--metrics-recording-only',
    '--no-proxy-server', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
  ],
});
const limit = setTimeout(() => {
  console.error(`approve: not done in ${LIMIT} s`);
  browser.process()?.kill('SIGKILL');
  process.exit(1);
}, LIMIT * 1000);

try {
  const page = await browser.newPage();
  const heading = () => page.$eval('h1', (h1) => h1.textContent);
  async function press(selector) {
    await page.waitForSelector(selector);
    await Promise.all([page.waitForNavigation(), page.click(selector)]);
  }

  await page.goto(uri);
  if (code) {
    await page.type('input[name=user_code]', code);
    await press('[type=submit]');
  }
  const confirm = 'button[form="op.deviceConfirmForm"]';
  await page.waitForSelector(confirm);                      // a complete URI's page sends itself on by a script
  console.error(`approve: the page shows the code ${await page.$eval('code', (shown) => shown.textContent)}`);
  if (answer === 'deny') {
    await press('button[name=abort]');
    console.log(`denied: ${await heading()}`);
  } else {
    await press(`${confirm}:not([name=abort])`);
    await page.type('input[name=login]', login);
    await page.type('input[name=password]', 'any will do');
    await press('button[type=submit]');
    await press('button[type=submit]');                     // consent
    const last = await heading();
    if (last !== 'Sign-in Success') throw new Error(`the last page says '${last}'`);
    console.log(`approved: ${last}`);
  }
} catch (error) {
  console.error(`approve: ${error.message}`);
  process.exitCode = 1;
} finally {
  clearTimeout(limit);
  await browser.close();
}
