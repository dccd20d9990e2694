// The HTTP API, as docs/openapi.yaml describes it. The page stands at the root of the API, so all paths are relative.

import { pathOf, segmentPathOf } from './picture.js';

/** @typedef {'offline' | 'unauthorized' | 'forbidden' | 'throttled' | 'problem'} ErrorKind */

/** A request failed. `message` is a sentence for people. */
export class ApiError extends Error {
  /**
   * @param {ErrorKind} kind
   * @param {number} status the HTTP status; 0 if there was no answer.
   * @param {string} message
   * @param {number | null} [retryAfter] seconds.
   */
  constructor(kind, status, message, retryAfter = null) {
    super(message);
    this.name = 'ApiError';
    this.kind = kind;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const OFFLINE = 'The API does not answer.';
const ATTEMPTS = 4;

/**
 * @typedef {object} Access
 * @property {('read' | 'upload' | 'delete')[]} scopes
 * @property {string | null} folder the only folder of the key, with a trailing slash.
 * @property {number} maxUploadBytes
 * @property {number} renditionUrlSeconds
 * @property {boolean} publicStatus whether statuses and renditions need no key.
 *
 * @typedef {{ method?: string, body?: unknown, headers?: Record<string, string>, signal?: AbortSignal }} Request
 */

/**
 * Read what a credential may do.
 *
 * @param {Record<string, string>} headers
 * @returns {Promise<Access>}
 */
export async function readAccess(headers) {
  return (await answer('/access', { headers })).json();
}

/**
 * Emits `reachable` with `detail: boolean` when the API stops or starts to answer, and `unauthorized` when it refuses
 * the credential.
 */
export class Api extends EventTarget {
  /** @param {{ headers(): Record<string, string> }} session */
  constructor(session) {
    super();
    this.session = session;
    this.reachable = true;
  }

  /**
   * Read one page of the list.
   *
   * @param {Record<string, string>} parameters the query parameters that filter.
   * @param {{ cursor?: string | null, limit?: number, signal?: AbortSignal }} [page]
   * @returns {Promise<{ images: any[], cursor: string | null }>}
   */
  async list(parameters, { cursor, limit, signal } = {}) {
    const query = new URLSearchParams(parameters);
    if (limit) query.set('limit', String(limit));
    if (cursor) query.set('cursor', cursor);
    return (await this.#repeat(`/images?${query}`, { signal })).json();
  }

  /**
   * Read the record of an upload. `pending` is true while the outcome of the given version is not known.
   *
   * @param {string} key
   * @param {{ versionId?: string | null, signal?: AbortSignal }} [options]
   * @returns {Promise<{ record: any, pending: boolean }>} `record` is null if the upload does not exist.
   */
  async status(key, { versionId, signal } = {}) {
    const query = versionId ? `?${new URLSearchParams({ versionId })}` : '';
    const path = `${pathOf(key)}/status${query}`;
    try {
      const response = await this.#repeat(path, { signal });
      return { record: await response.json(), pending: response.headers.has('retry-after') };
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      return { record: null, pending: error.retryAfter !== null };
    }
  }

  /**
   * Read the records of 1 to 100 uploads.
   *
   * @param {string[]} keys
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<{ statuses: any[], missing: string[] }>}
   */
  async statuses(keys, { signal } = {}) {
    return (await this.#repeat('/images/statuses', { method: 'POST', body: { imageKeys: keys }, signal })).json();
  }

  /** @returns {Promise<Access>} */
  async access() {
    return (await this.#once('/access', {})).json();
  }

  /**
   * Sign an upload.
   *
   * @param {{ name: string, sizeBytes: number, overwrite: boolean, method: 'PUT' }} request
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<any>}
   */
  async presign(request, { signal } = {}) {
    return (await this.#once('/images/presigned', { method: 'POST', body: request, signal })).json();
  }

  /**
   * Delete an upload.
   *
   * @param {string} key
   */
  async remove(key) {
    await this.#once(pathOf(key), { method: 'DELETE' });
  }

  /**
   * Undo the deletion of an upload.
   *
   * @param {string} key
   * @returns {Promise<{ imageKey: string, versionId: string | null }>}
   */
  async restore(key) {
    return (await this.#once(`${pathOf(key)}/restore`, { method: 'POST' })).json();
  }

  /**
   * Process an upload again.
   *
   * @param {string} key
   * @returns {Promise<{ imageKey: string, executionId: string }>}
   */
  async reprocess(key) {
    return (await this.#once(`${pathOf(key)}/reprocess`, { method: 'POST' })).json();
  }

  /**
   * Set the point that the crops of an upload must show, and process it again.
   *
   * @param {string} key
   * @param {{ x: number, y: number } | null} point null to let each recipe decide.
   * @returns {Promise<{ imageKey: string, executionId: string }>}
   */
  async setFocus(key, point) {
    return (await this.#once(`${pathOf(key)}/focus`, { method: 'PUT', body: point ?? { x: null, y: null } })).json();
  }

  /**
   * Get a URL that downloads the original.
   *
   * @param {string} key
   * @returns {Promise<{ url: string, urlExpiresAt: string }>}
   */
  async original(key) {
    return (await this.#repeat(`${segmentPathOf(key)}/original`, {})).json();
  }

  /**
   * Send a request that changes nothing, and send it again while the API is busy.
   *
   * @param {string} path
   * @param {Request} request
   */
  async #repeat(path, request) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once(path, request);
      } catch (error) {
        if (!(error instanceof ApiError) || error.kind !== 'throttled' || attempt === ATTEMPTS) throw error;
        const seconds = error.retryAfter ?? 2 ** attempt / 4;
        await wait(seconds * 1000 * (1 + Math.random() / 2), request.signal);
      }
    }
  }

  /**
   * @param {string} path
   * @param {Request} request
   */
  async #once(path, request) {
    const headers = this.session.headers();
    try {
      const response = await answer(path, { ...request, headers });
      this.#reached(true);
      return response;
    } catch (error) {
      if (error instanceof ApiError) {
        this.#reached(error.kind !== 'offline');
        if (error.kind === 'unauthorized') this.dispatchEvent(new CustomEvent('unauthorized', { detail: headers }));
      }
      throw error;
    }
  }

  /** @param {boolean} reachable */
  #reached(reachable) {
    if (this.reachable === reachable) return;
    this.reachable = reachable;
    this.dispatchEvent(new CustomEvent('reachable', { detail: reachable }));
  }
}

/**
 * Send one request. Raise an error unless the answer is a success.
 *
 * @param {string} path
 * @param {Request} request
 */
async function answer(path, { method = 'GET', body, headers = {}, signal }) {
  /** @type {Record<string, string>} */
  const json = body === undefined ? {} : { 'content-type': 'application/json' };
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path.slice(1), {
      method,
      headers: { ...json, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError('offline', 0, OFFLINE);
  }
  if (response.ok) return response;
  throw await failure(response);
}

/** @param {Response} response */
async function failure(response) {
  const problem = await response.json().catch(() => ({}));
  const message = problem.detail ?? problem.message ?? `The API answered ${response.status}.`;
  const seconds = Number.parseInt(response.headers.get('retry-after') ?? '', 10);
  return new ApiError(kindOf(response.status, problem), response.status, message, Number.isNaN(seconds) ? null : seconds);
}

/**
 * Name the kind of an error. API Gateway itself refuses a credential, and its answer has no `detail`.
 *
 * @param {number} status
 * @param {{ detail?: string }} problem
 * @returns {ErrorKind}
 */
function kindOf(status, problem) {
  if (status === 401 || (status === 403 && !problem.detail)) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 429 || status === 503) return 'throttled';
  return status === 502 || status === 504 ? 'offline' : 'problem';
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function wait(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
