// An OAuth server with the device flow: the certified npm oidc-provider, at the paths of Qwen's server.
//
// usage: node tests/peers/identity.mjs        prints 'listening http://127.0.0.1:PORT', ends when stdin does
//
// oidc-provider brings the device flow, opaque tokens, refresh-token rotation in which a replay revokes the whole
// grant, revocation (RFC 7009), introspection (RFC 7662) and discovery. It lacks what a device-flow client has to
// get right besides: `interval` with slow_down (RFC 8628, section 3.5) and PKCE, which Qwen asks for. Both are here.
//
// Settings come from the environment; those marked * can be changed while it runs by POST /settings with a JSON object.
//   PORT=0            0: any free one
//   CLIENT_ID         a second public client, besides qwen-cli-test
//   AT_TTL=60 *       life of an access token, in seconds; RT_TTL=3600 * and DC_TTL=120 * of refresh tokens, device codes
//   INTERVAL=1 *      seconds between polls
//   SLOW=1 *          answer a poll that comes too early with slow_down, and add 5 s to that code's interval
//   SLOW_STATUS=400 * its HTTP status (Qwen: 429); PENDING_STATUS=400 * that of authorization_pending
//   PKCE=1 *          demand S256 of the device request, and the verifier of the token request
//   ROTATE=1 *        a refresh token serves once
//   RESOURCE_URL= *   the `resource_url` of token answers
//   OMIT= *           members to leave out of device and token answers, separated by commas
//   NO_COMPLETE=, NO_INTERVAL=   short for OMIT=verification_uri_complete, OMIT=interval
//   DELAY=0 *         milliseconds to hold back an answer of the endpoints below after the work is done
//   TRACE=            requests, and oidc-provider's own messages, on stderr
//
// Beside the standard endpoints it has those of oauth_control.mjs, and
//   POST /settings  a JSON object of the names above; answers with all settings
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEVICE_GRANT, answered, asked, listener, text } from './oauth_control.mjs';
import { endWithStdin, installed } from './peer.mjs';

const { env } = process;
if (!env.TRACE) console.info = console.warn = () => {};
else console.info = console.warn = console.error;          // stdout is for the line that says where it listens
const { Provider } = await installed('oidc-provider');

const SCOPES = ['openid', 'profile', 'email', 'offline_access', 'model.completion'];
const AT = '/api/v1/oauth2';

const settings = {
  AT_TTL: 60, RT_TTL: 3600, DC_TTL: 120, INTERVAL: 1, SLOW: 1, SLOW_STATUS: 400, PENDING_STATUS: 400,
  PKCE: 1, ROTATE: 1, RESOURCE_URL: '', OMIT: '', DELAY: 0,
};
function change(values) {
  for (const [name, value] of Object.entries(values)) {
    if (name in settings) settings[name] = typeof settings[name] === 'number' ? Number(value) : String(value);
  }
}
change(env);
for (const [flag, member] of [['NO_COMPLETE', 'verification_uri_complete'], ['NO_INTERVAL', 'interval']]) {
  if (env[flag]) settings.OMIT += `,${member}`;
}

const server = createServer();
await new Promise((listening) => server.listen(Number(env.PORT || 0), '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const client = (client_id) => ({
  client_id, token_endpoint_auth_method: 'none', application_type: 'native',
  grant_types: [DEVICE_GRANT, 'refresh_token'], response_types: [], redirect_uris: [], scope: SCOPES.join(' '),
});
const provider = new Provider(issuer, {
  clients: ['qwen-cli-test', env.CLIENT_ID].filter(Boolean).map(client),
  scopes: SCOPES,
  cookies: { keys: ['only for tests'] },
  routes: {
    device_authorization: `${AT}/device/code`, token: `${AT}/token`, revocation: `${AT}/revoke`,
    introspection: `${AT}/introspect`, code_verification: '/authorize',
  },
  features: {
    deviceFlow: { enabled: true, charset: 'base-20', mask: '****-****' },
    devInteractions: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    registration: { enabled: true },
    revocation: { enabled: true },
  },
  issueRefreshToken: (ctx, by) => by.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: () => settings.ROTATE !== 0,
  ttl: {
    AccessToken: () => settings.AT_TTL, RefreshToken: () => settings.RT_TTL, DeviceCode: () => settings.DC_TTL,
    IdToken: 300, Interaction: 600, Session: 3600, Grant: 86400,
  },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, email: `${id}@lab.test` }) }),
});
for (const event of ['server_error', 'grant.error', 'revocation.error', 'device_authorization.error']) {
  provider.on(event, (ctx, error) => {
    if (env.TRACE || event === 'server_error') console.error(event, error.error ?? error, error.error_detail ?? '');
  });
}

const codes = new Map();                                    // device code → { challenge, interval, longer, answered }

function refuse(ctx, error, error_description, status = 400) {
  Object.assign(ctx, { status, body: { error, error_description } });
}

async function device(ctx, form, next) {
  asked('device', form);
  const challenge = form.get('code_challenge');
  if (settings.PKCE && (!challenge || form.get('code_challenge_method') !== 'S256')) {
    return refuse(ctx, 'invalid_request', 'a code_challenge by S256 is required');
  }
  await next();
  if (ctx.status !== 200) return;
  codes.set(ctx.body.device_code, { challenge, interval: settings.INTERVAL, longer: 5, answered: -Infinity });
  ctx.body.interval = settings.INTERVAL;
}

async function poll(ctx, form, next) {
  const code = codes.get(form.get('device_code'));
  if (!code) return next();
  const early = performance.now() - code.answered < code.interval * 1000;
  const digest = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
  if (settings.PKCE && digest !== code.challenge) {
    refuse(ctx, 'invalid_grant', 'the code_verifier does not fit the code_challenge');
  } else {
    await next();
  }
  if (ctx.status === 400 && ctx.body.error === 'authorization_pending') {
    ctx.status = settings.PENDING_STATUS;
    if (early && settings.SLOW) {
      code.interval += code.longer;
      refuse(ctx, 'slow_down', 'polled before the interval was over', settings.SLOW_STATUS);
    }
  }
  await sleep(settings.DELAY);
  code.answered = performance.now();
}

async function token(ctx, form, next) {
  asked('token', form);
  if (form.get('grant_type') === DEVICE_GRANT) await poll(ctx, form, next);
  else await next().then(() => sleep(settings.DELAY));
  if (ctx.status === 200 && settings.RESOURCE_URL) ctx.body.resource_url = settings.RESOURCE_URL;
  answered(form, ctx.status, ctx.body?.error);
}

const counted = (name) => (ctx, form, next) => {
  asked(name, form);
  return next();
};
const endpoints = {
  [`${AT}/device/code`]: device, [`${AT}/token`]: token,
  [`${AT}/revoke`]: counted('revocation'), [`${AT}/introspect`]: counted('introspection'),
};

provider.use(async (ctx, next) => {
  if (env.TRACE) console.error(new Date().toISOString(), ctx.method, ctx.path);
  const endpoint = ctx.method === 'POST' && endpoints[ctx.path];
  if (!endpoint) return next();
  ctx.req.body = await text(ctx.req);                       // oidc-provider takes a body that was read before
  await endpoint(ctx, new URLSearchParams(ctx.req.body), next);
  if (endpoint !== token) await sleep(settings.DELAY);
  if (typeof ctx.body === 'object') for (const member of settings.OMIT.split(',')) delete ctx.body?.[member];
});

async function approve({ user_code = '', login = 'alice', deny = false }) {
  const code = await provider.DeviceCode.findByUserCode(user_code.toUpperCase().replace(/\W/g, ''));
  if (!code || code.accountId || code.error) throw new Error('no such code is waiting');
  if (deny) return Object.assign(code, { error: 'access_denied', errorDescription: 'the person said no' }).save();
  const { scope } = code.params;
  const grant = new provider.Grant({ accountId: login, clientId: code.clientId });
  grant.addOIDCScope(scope);
  const authTime = Math.floor(Date.now() / 1000);
  return Object.assign(code, { accountId: login, grantId: await grant.save(), scope, authTime }).save();
}

const codeOf = (user_code) => provider.DeviceCode.findByUserCode(user_code.replace(/\W/g, ''));
async function expire({ user_code }) {
  const { jti } = await codeOf(user_code);
  const { adapter } = provider.DeviceCode, stored = await adapter.find(jti);
  await adapter.upsert(jti, { ...stored, exp: stored.iat }, 60);
}

const post = (path, type, body) => fetch(issuer + path, { method: 'POST', headers: { 'content-type': type }, body });
const register = ({ scope }) => post('/reg', 'application/json', JSON.stringify({
  ...client('toolkit'), client_id: undefined, client_name: 'toolkit', scope,
})).then((response) => response.json());
const isActive = ({ token }) =>
  post(`${AT}/introspect`, 'application/x-www-form-urlencoded', new URLSearchParams({ token, client_id: 'qwen-cli-test' }).toString())
    .then((response) => response.json());

server.on('request', listener({
  'POST /settings': (body) => (change(body), settings),
  'POST /client': register,
  'POST /approve': (body) => approve(body).then(() => ({})),
  'POST /expire': expire,
  'POST /pace': async ({ user_code, seconds }) => {
    Object.assign(codes.get((await codeOf(user_code)).jti), { interval: seconds, longer: 0 });
  },
  'POST /active': isActive,
}, provider.callback()));
endWithStdin();
console.log(`listening ${issuer}`);
