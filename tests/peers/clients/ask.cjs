// OpenAI's client for Node, with what it finds in its environment: 'ask.cjs CLASS' asks once and prints the answer.
const openai = require("openai");

const client = new openai[process.argv[2]]({ maxRetries: 0 });
const messages = [{ role: "user", content: "hi" }];
client.chat.completions
    .create({ model: process.env.OPENAI_MODEL, messages })
    .then((answer) => console.log(answer.choices[0].message.content))
    .catch((error) => {
        console.error(String(error));
        process.exitCode = 1;
    });
