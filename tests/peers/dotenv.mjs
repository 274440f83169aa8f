// npm dotenv's parse() for many files in one process, so that thousands of generated ones can be compared in seconds.
//
// usage: node tests/peers/dotenv.mjs < FILES
//
// One file a line in, its bytes in base64 (an empty line is an empty file); one JSON object a line out, in that order.
// Bytes become text as Qwen Code reads them: UTF-8, U+FFFD for what is not. Answers come as soon as a line is read.
import { createInterface } from 'node:readline';
import { installed } from './peer.mjs';

const { default: dotenv } = await installed('dotenv');

let answers = [];
function flush() {
  if (answers.length) process.stdout.write(`${answers.join('\n')}\n`);
  answers = [];
}
createInterface({ input: process.stdin, crlfDelay: Infinity })
  .on('line', (line) => {
    const parsed = dotenv.parse(Buffer.from(line, 'base64').toString('utf8'));
    if (answers.push(JSON.stringify(parsed)) === 1) setImmediate(flush);
  })
  .on('close', flush);
