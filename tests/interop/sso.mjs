// A stock OpenID Connect provider (oidc-provider) and a browser without a script, against a running gateway: members join by a
// one-time link through the provider, sign in again, set up and show the gateway's own second factor where the provider vouches
// for none, and sign out; who is not invited stays out, and nothing counts twice.
//
//   node sso.mjs provider PORT GATEWAY      serves the provider until it is killed
//   node sso.mjs browser URL LINK LINK      joins by both links: anna, an officer, and berta, an auditor
//
// `run.sh` starts all of them.

import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync } from 'node:crypto';

const [, , part, ...rest] = process.argv;
// Who there is. The provider asks anna for two factors, and the others for one.
const accounts = {
  anna: { email: 'anna@shop.example', email_verified: true, amr: ['pwd', 'otp'] },
  berta: { email: 'berta@shop.example', email_verified: true, amr: ['pwd'] },
  stranger: { email: 'stranger@shop.example', email_verified: true, amr: ['pwd', 'otp'] },
  foreign: { email: 'anna@evil.example', email_verified: true, amr: ['pwd', 'otp'] },
  unverified: { email: 'anna@shop.example', email_verified: false, amr: ['pwd', 'otp'] },
};

async function provider(port, gateway) {
  const { Provider } = await import('oidc-provider');
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const issuer = `http://127.0.0.1:${port}`;
  const server = new Provider(issuer, {
    clients: [{
      client_id: 'consentry',
      client_secret: 'a secret that is long enough: with +/%',
      redirect_uris: [`${gateway}/console/sso/callback`],
      post_logout_redirect_uris: [`${gateway}/console/login`],
    }],
    jwks: { keys: [{ ...key, use: 'sig', alg: 'RS256', kid: 'rsa' }] },
    cookies: { keys: ['only for this run'] },
    claims: { openid: ['sub', 'amr'], email: ['email', 'email_verified'], auth_time: null },
    conformIdTokenClaims: false,
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    async findAccount(_, id) {
      const claims = accounts[id];
      return { accountId: id, claims: async () => ({ sub: id, ...claims }) };
    },
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid email');
      await grant.save();
      return grant;
    },
  });
  server.use(async (ctx, next) => {
    if (!ctx.path.startsWith('/interaction/')) return next();
    if (ctx.method === 'GET') {
      ctx.body = '<form method="post"><input name="login"><input name="password" type="password"></form>';
      return;
    }
    const login = new URLSearchParams(ctx.querystring).get('login');
    const result = { login: { accountId: login, amr: accounts[login].amr } };
    return server.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
  });
  server.listen(Number(port), '127.0.0.1', () => console.log(`provider: ${issuer}`));
}

// A browser: cookies by origin, redirects by hand.
class Browser {
  cookies = new Map();

  constructor(gateway) {
    this.gateway = gateway;
  }

  async fetch(url, { form, isForeign = false } = {}) {
    const { origin } = new URL(url);
    const jar = this.cookies.get(origin) ?? new Map();
    this.cookies.set(origin, jar);
    // What is strict is not sent with what another site began.
    const sent = [...jar].filter(([, cookie]) => !(isForeign && cookie.isStrict));
    const headers = { accept: 'text/html', cookie: sent.map(([name, { value }]) => `${name}=${value}`).join('; ') };
    if (isForeign) headers['sec-fetch-site'] = 'cross-site';
    const body = form && new URLSearchParams(form);
    const answer = await fetch(url, { method: form ? 'POST' : 'GET', headers, body, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(';');
      const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
      if (value === '' || /expires=thu, 01 jan 1970/i.test(line)) jar.delete(name);
      else jar.set(name, { value, isStrict: /samesite=strict/i.test(line) });
    }
    const text = await answer.text();
    return { status: answer.status, location: answer.headers.get('location'), refresh: answer.headers.get('refresh'), text };
  }

  async open(path) {
    const page = await this.fetch(this.gateway + path);
    this.csrf = page.text.match(/name="csrf" value="([^"]+)"/)?.[1] ?? this.csrf;
    return page;
  }

  async send(path, form) {
    return this.fetch(this.gateway + path, { form: { ...form, csrf: this.csrf } });
  }

  // Through the provider as somebody, up to the answer that it leads back with.
  async through(form, login) {
    let answer = await this.send('/console/sso', form);
    assert.equal(answer.status, 303, answer.text);
    let url = answer.location;
    for (let hop = 0; hop < 8 && !url.startsWith(this.gateway); hop++) {
      const isAsking = new URL(url).pathname.startsWith('/interaction/');
      answer = isAsking
        ? await this.fetch(`${url}?login=${login}`, { form: { login } })
        : await this.fetch(url);
      assert.ok([302, 303].includes(answer.status), `${answer.status} ${answer.text}`);
      url = new URL(answer.location, url).href;
    }
    return url;
  }

  async signIn(login) {
    await this.open('/console/login');
    return this.fetch(await this.through({ for: 'sign_in' }, login), { isForeign: true });
  }
}

// RFC 6238 with SHA-1, six digits and half a minute, as every app has it.
function code(secret, step) {
  const bits = [...secret.replace(/[\s=]/g, '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c));
  const bytes = Buffer.from(bits.map((b) => b.toString(2).padStart(5, '0')).join('').match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', bytes).update(counter).digest();
  const number = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, '0');
}

const now = () => Math.floor(Date.now() / 30_000);

async function browser(url, annas, bertas) {
  const gateway = new URL(url).origin;
  const path = (link) => new URL(link, gateway).pathname;
  const token = (link) => path(link).split('/').pop();

  for (const login of ['stranger', 'foreign', 'unverified']) {
    assert.equal((await new Browser(gateway).signIn(login)).status, 403, login);
  }
  for (const login of ['foreign', 'unverified']) {
    const outsider = new Browser(gateway);
    await outsider.open(path(annas));
    const back = await outsider.through({ for: 'join', link: token(annas) }, login);
    assert.equal((await outsider.fetch(back, { isForeign: true })).status, 403, login);
  }
  console.log('strangers, foreign and unverified addresses: refused');

  const anna = new Browser(gateway);
  await anna.open(path(annas));
  const back = await anna.through({ for: 'join', link: token(annas) }, 'anna');
  const joined = await anna.fetch(back, { isForeign: true });
  assert.equal(joined.status, 200, joined.text);
  assert.equal(joined.refresh, '0; url=/console');
  assert.match((await anna.open('/console')).text, /anna \(officer\)/);
  assert.equal((await anna.fetch(back, { isForeign: true })).status, 403);
  console.log('anna: joined through the provider with both of its factors; the answer counts once');

  const other = new Browser(gateway);
  assert.equal((await other.fetch(back, { isForeign: true })).status, 403);
  assert.equal((await other.signIn('anna')).status, 200);
  assert.match((await other.open('/console')).text, /anna \(officer\)/);
  const out = await other.send('/console/sign-out', {});
  assert.equal(out.status, 200);
  const leave = out.text.match(/href="([^"]+session\/end[^"]+)"/)[1].replaceAll('&amp;', '&');
  assert.equal((await other.fetch(leave)).status, 200);
  assert.equal((await other.open('/console')).status, 303);
  console.log('anna: signed in again, signed out here, and led to sign out there');

  const berta = new Browser(gateway);
  await berta.open(path(bertas));
  const first = await berta.fetch(await berta.through({ for: 'join', link: token(bertas) }, 'berta'), { isForeign: true });
  assert.equal(first.refresh, '0; url=/console/authenticator');
  const secret = (await berta.open('/console/authenticator')).text.match(/<code id="key">([^<]+)</)[1];
  const step = now();
  assert.equal((await berta.send('/console/authenticator', { code: code(secret, step) })).status, 200);
  assert.match((await berta.open('/console')).text, /berta \(auditor\)/);
  const again = new Browser(gateway);
  assert.equal((await again.signIn('berta')).refresh, '0; url=/console/second-factor');
  assert.equal((await again.open('/console')).status, 303);
  await again.open('/console/second-factor');
  // The step of the one before is used up: the next one counts already.
  assert.equal((await again.send('/console/second-factor', { code: code(secret, step) })).status, 403);
  assert.equal((await again.send('/console/second-factor', { code: code(secret, step + 1) })).status, 303);
  assert.match((await again.open('/console')).text, /berta \(auditor\)/);
  console.log('berta: one factor there, the other one here');
  console.log('all good');
}

if (part === 'provider') await provider(...rest);
else await browser(...rest);
