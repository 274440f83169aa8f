// An OAuth server with the device flow: npm better-auth with its plug-ins for OAuth providers and device authorization.
//
// usage: node tests/peers/better-auth/server.mjs        prints 'listening http://127.0.0.1:PORT', ends when stdin does
//
// The issuer is /api/auth. Clients register themselves (RFC 7591). A person signs in by JSON and a cookie, looks at the
// code, and decides; refresh tokens serve once, and reuse ends the grant. Settings come from the environment:
//   PORT=0     0: any free one
//   PLUGIN=    'session': the device authorization plug-in alone, whose tokens are sessions of the site; it announces
//              /api/auth/device/code and /api/auth/device/token nowhere, and the second takes JSON only
//   TRACE=     requests, and better-auth's log, on stderr
//
// Beside the standard endpoints it has those of oauth_control.mjs.
import { createServer } from 'node:http';
import { DEVICE_GRANT, answered, asked, listener, text } from '../oauth_control.mjs';
import { endWithStdin, installed } from '../peer.mjs';

const { env } = process;
const from = (name) => installed(name, 'better-auth');
const { betterAuth } = await from('better-auth');
const { memoryAdapter } = await from('better-auth/adapters/memory');
const { deviceAuthorization } = await from('better-auth/plugins');
const { oauthDeviceAuthorization, oauthProvider, oauthProviderAuthServerMetadata } = await from('@better-auth/oauth-provider');

const server = createServer();
await new Promise((listening) => server.listen(Number(env.PORT || 0), '127.0.0.1', listening));
const origin = `http://127.0.0.1:${server.address().port}`;
const issuer = `${origin}/api/auth`;

const provider = oauthProvider({
  loginPage: '/login', consentPage: '/consent', scopes: ['openid', 'offline_access', 'model.completion'],
  grantTypes: ['authorization_code', 'refresh_token'], accessTokenExpiresIn: 60, disableJwtPlugin: true,
  allowDynamicClientRegistration: true, allowUnauthenticatedClientRegistration: true,
  silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
});
const life = { expiresIn: '2m', interval: '1s' };
const tables = ['user', 'session', 'account', 'verification', 'deviceCode', 'oauthClient', 'oauthRefreshToken',
  'oauthAccessToken', 'oauthConsent', 'oauthClientAssertion', 'oauthResource', 'oauthClientResource'];
const auth = betterAuth({
  baseURL: origin, secret: 'only for tests, and as long as is asked for',
  database: memoryAdapter(Object.fromEntries(tables.map((name) => [name, []]))),
  emailAndPassword: { enabled: true }, rateLimit: { enabled: false }, telemetry: { enabled: false },
  logger: { log: (level, ...words) => env.TRACE && console.error(level, ...words) },
  plugins: env.PLUGIN === 'session' ? [deviceAuthorization(life)] : [provider, oauthDeviceAuthorization(life)],
});
const { adapter } = await auth.$context;
const metadata = env.PLUGIN === 'session' ? undefined : oauthProviderAuthServerMetadata(auth);

const endpoints = {
  '/api/auth/device/code': 'device', '/api/auth/oauth2/token': 'token', '/api/auth/device/token': 'token',
  '/api/auth/oauth2/revoke': 'revocation',
};

// A person with a browser, whose requests have an origin and a cookie.
async function browse(path, cookie, json) {
  const headers = { origin, cookie, ...(json && { 'content-type': 'application/json' }) };
  const response = await fetch(issuer + path, { method: json ? 'POST' : 'GET', headers, body: json && JSON.stringify(json) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response;
}
const account = { email: 'alice@lab.test', password: 'only for tests', name: 'alice' };

const codeOf = (user_code) => [{ field: 'userCode', value: user_code }];
const change = (user_code, update) => adapter.update({ model: 'deviceCode', where: codeOf(user_code), update });
const controls = {
  'POST /client': ({ scope }) => browse('/oauth2/register', '', {
    client_name: 'toolkit', scope, grant_types: [DEVICE_GRANT, 'refresh_token'], response_types: [],
    token_endpoint_auth_method: 'none',
  }).then((response) => response.json()),
  'POST /approve': async ({ user_code, deny }) => {
    const cookie = (await browse('/sign-in/email', '', account)).headers.get('set-cookie').split(';')[0];
    await browse(`/device?user_code=${encodeURIComponent(user_code)}`, cookie);
    await browse(deny ? '/device/deny' : '/device/approve', cookie, { userCode: user_code });
  },
  'POST /expire': ({ user_code }) => change(user_code, { expiresAt: new Date(0) }).then(() => ({})),
  'POST /pace': ({ user_code, seconds }) => change(user_code, { pollingInterval: seconds * 1000 }).then(() => ({})),
  'POST /active': ({ token }) => fetch(`${issuer}/oauth2/userinfo`, { headers: { authorization: `Bearer ${token}` } })
    .then((response) => ({ active: response.ok })),
};

async function answer(incoming, outgoing) {
  if (env.TRACE) console.error(incoming.method, incoming.url);
  const url = new URL(incoming.url, origin), body = await text(incoming), form = new URLSearchParams(body);
  const endpoint = incoming.method === 'POST' && endpoints[url.pathname];
  if (endpoint) asked(endpoint, form);
  const request = new Request(url, { method: incoming.method, headers: incoming.headers, body: body || undefined });
  const isMetadata = metadata && url.pathname === '/.well-known/oauth-authorization-server/api/auth';
  const response = await (isMetadata ? metadata(request) : auth.handler(request));
  const said = await response.text();
  if (endpoint === 'token') answered(form, response.status, response.ok ? undefined : JSON.parse(said).error);
  outgoing.writeHead(response.status, [...response.headers].flat());
  outgoing.end(said);
}

server.on('request', listener(controls, answer));
endWithStdin();
await browse('/sign-up/email', '', account);
console.log(`listening ${origin}`);
