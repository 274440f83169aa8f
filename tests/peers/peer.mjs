// What the Node peers have in common: the installed modules, and a life that ends with the test that started them.
import { webcrypto } from 'node:crypto';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

// Debian 12 has Node 18; oidc-provider wants two things of Node 20.
globalThis.crypto ??= webcrypto;
URL.parse ??= (url, base) => {
  try {
    return new URL(url, base);
  } catch {
    return null;
  }
};

const here = dirname(fileURLToPath(import.meta.url));
export const peers = process.env.QWEN_PEERS_DIR || join(here, '..', '..', 'target', 'peers');

/** The module NAME that tests/peers/install put below target/peers, in the directory of a package.json. */
export async function installed(name, directory = 'node') {
  try {
    const from = createRequire(join(peers, directory, 'package.json'));
    return await import(pathToFileURL(from.resolve(name)));
  } catch (error) {
    console.error(`${process.argv[1]}: ${error.message.split('\n')[0]}; run tests/peers/install`);
    process.exit(69);
  }
}

/** Ends this process when standard input does: a test that is killed closes the pipe, and leaves nothing behind. */
export function endWithStdin() {
  process.stdin.on('error', () => process.exit(0)).on('end', () => process.exit(0)).resume();
}
