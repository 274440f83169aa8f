// node --env-file: a file in base64 per line of stdin, its meaning as JSON per line of stdout.
import { createInterface } from "node:readline";
import { parseEnv } from "node:util";

for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(parseEnv(Buffer.from(line, "base64").toString())));
}
