// What the OAuth servers that run in Node have in common: they count, and do what a person or time would do.
//
// Beside their standard endpoints:
//   POST /client   {"scope":"…"}: registers a public client, answers {"client_id":"…"}
//   POST /approve  {"user_code":"…"[,"deny":true]}: a person signs in and decides
//   POST /expire   {"user_code":"…"}: the code's life is over, by the server's clock
//   POST /pace     {"user_code":"…","seconds":4}: the server wants this time between two polls, whatever it announced
//   POST /active   {"token":"…"}: answers {"active":true} for an access token that the server honours
//   GET  /stats    what all clients, or that of ?client_id=…, have asked and heard:
//                  {"device":1,"token":{"device_code":3,"refresh_token":1},"revocation":0,"introspection":0,
//                   "answers":{"device_code":{"authorization_pending":2,"ok":1},"refresh_token":{"ok":1}}}
// oauth_control.py is the same for Python.

export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

/** The whole body of a request. */
export async function text(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

const clients = new Map();
function statsOf(client) {
  if (!clients.has(client)) clients.set(client, { device: 0, token: {}, revocation: 0, introspection: 0, answers: {} });
  return clients.get(client);
}

// Those of the form's client, and of all.
const statsOfForm = (form) => [statsOf(form.get('client_id') ?? 'none'), statsOf('')];
const grantOf = (form) => form.get('grant_type')?.split(':').at(-1) ?? 'none';

/** Counts a request: 'device', 'token', 'revocation' or 'introspection'. */
export function asked(endpoint, form) {
  for (const stats of statsOfForm(form)) {
    if (endpoint === 'token') stats.token[grantOf(form)] = (stats.token[grantOf(form)] ?? 0) + 1;
    else stats[endpoint] += 1;
  }
}

/** Counts the answer to a token request: its `error`, else its status; 'ok' for 200. */
export function answered(form, status, error) {
  for (const stats of statsOfForm(form)) {
    const answers = (stats.answers[grantOf(form)] ??= {}), outcome = status === 200 ? 'ok' : error ?? status;
    answers[outcome] = (answers[outcome] ?? 0) + 1;
  }
}

/** A listener that does what `controls` say, by method and path, and leaves all else to `standard`. */
export function listener(controls, standard) {
  const all = { 'GET /stats': (_, query) => statsOf(query.get('client_id') ?? ''), ...controls };
  return async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const control = all[`${request.method} ${url.pathname}`];
    if (!control) return standard(request, response);
    try {
      const answer = await control(JSON.parse(await text(request) || '{}'), url.searchParams);
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer ?? {}));
    } catch (error) {
      response.writeHead(400).end(JSON.stringify({ fault: error.message }));
    }
  };
}
