// Uses an endpoint in every way that programs with OpenAI's client for Node do, and by fetch, by the environment alone.
//
// usage: openai_node.mjs DIRECTORY        prints a JSON object of what came; DIRECTORY has node_modules/openai
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const found = createRequire(pathToFileURL(`${process.argv[2]}/`)).resolve('openai');
const { default: OpenAI, toFile } = await import(pathToFileURL(found));

const { env } = process;
const model = env.OPENAI_MODEL;
const client = new OpenAI({ maxRetries: 0 });
const messages = [{ role: 'user', content: 'What is the capital of France?' }];
const came = {};

came.chat = (await client.chat.completions.create({ model, messages })).choices[0].message.content;

came.stream = [];
for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
  const text = chunk.choices[0]?.delta?.content;
  if (text) came.stream.push(text);
}

const answer = await fetch(`${env.OPENAI_BASE_URL}/chat/completions`, {
  method: 'POST',
  headers: { authorization: `Bearer ${env.OPENAI_API_KEY}`, 'content-type': 'application/json' },
  body: JSON.stringify({ model, messages }),
});
came.fetch = (await answer.json()).choices[0].message.content;

if (env.ALL_OF_IT) {
  const tool = { type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } };
  const called = await client.chat.completions.create({ model, messages, tools: [tool] });
  came.tools = called.choices[0].message.tool_calls[0].function.name;
  const embedded = await client.embeddings.create({ model: 'embed', input: ['a', 'b'], encoding_format: 'float' });
  came.embeddings = embedded.data[1].embedding;
  came.responses = (await client.responses.create({ model, input: 'hi' })).output_text;
  const picture = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(16384, 7)]);
  const image = await toFile(picture, 'cat.png', { type: 'image/png' });
  came.images = (await client.images.edit({ model: 'gpt-image-1', image, prompt: 'a hat' })).data[0].b64_json;
  came.slash = (await client.models.retrieve('qwen/qwen3:free')).id;
  came.slash_chat = (await client.chat.completions.create({ model: 'qwen/qwen3:free', messages })).model;
  came.models = [];
  for await (const one of client.models.list()) came.models.push(one.id);
  // A client that tries a WebSocket first is told at once, and goes on without.
  const upgrade = await import('node:http').then(({ get }) => new Promise((told, failed) => {
    const headers = {
      authorization: `Bearer ${env.OPENAI_API_KEY}`, connection: 'Upgrade', upgrade: 'websocket',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13',
    };
    get(`${env.OPENAI_BASE_URL}/responses`, { headers }, (response) => {
      response.resume().on('end', () => told(response.statusCode));
    }).on('error', failed);
  }));
  came.upgrade = upgrade;
}
console.log(JSON.stringify(came));
