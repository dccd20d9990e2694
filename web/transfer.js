// Send one file straight to the bucket, with a URL that the API signed.

const STALL_MILLISECONDS = 60_000;

/** @typedef {{url: string, headers: Record<string, string>}} SignedUrl */

/** The bucket did not store the file. */
export class TransferError extends Error {
  /**
   * @param {'network' | 'busy' | 'expired' | 'changed' | 'taken' | 'refused'} kind
   * @param {string} message
   * @param {string} hint
   */
  constructor(kind, message, hint) {
    super(message);
    this.kind = kind;
    this.hint = hint;
  }
}

/**
 * Send a file.
 *
 * `fetch` does not report the progress of an upload, so this uses XMLHttpRequest.
 * @param {SignedUrl} signed
 * @param {Blob} file
 * @param {{onProgress: (bytes: number) => void, signal: AbortSignal}} options
 * @returns {Promise<{versionId: string | null}>} the version that the bucket stored, if the bucket lets pages read it
 */
export function transfer({ url, headers }, file, { onProgress, signal }) {
  const request = new XMLHttpRequest();
  const abort = () => request.abort();
  /** @type {ReturnType<typeof setTimeout>} */
  let stall;
  const watch = () => {
    clearTimeout(stall);
    stall = setTimeout(abort, STALL_MILLISECONDS);
  };
  const stored = new Promise((resolve, reject) => {
    request.upload.onprogress = ({ loaded, total }) => {
      watch();
      onProgress(Math.min(file.size, Math.round((file.size * loaded) / (total || 1))));
    };
    request.onload = () =>
      request.status < 300
        ? resolve({ versionId: versionId(request) })
        : reject(refusal(request.status, request.responseText));
    request.onabort = () => reject(signal.aborted ? signal.reason : broken('The connection to the bucket stalled.'));
    request.onerror = () =>
      readable(file).then((exists) => reject(exists ? broken('The connection to the bucket broke.') : unreadable()));
    request.open('PUT', url);
    for (const [name, value] of Object.entries(headers)) {
      if (name !== 'content-length') request.setRequestHeader(name, value); // the browser sets this one
    }
    signal.throwIfAborted();
    signal.addEventListener('abort', abort);
    watch();
    request.send(file);
  });
  return stored.finally(() => {
    clearTimeout(stall);
    signal.removeEventListener('abort', abort);
  });
}

/** @param {XMLHttpRequest} request */
function versionId(request) {
  const header = request.getResponseHeader('x-amz-version-id');
  return header && header !== 'null' ? header : null;
}

/**
 * @param {number} status
 * @param {string} text S3's answer, in XML
 */
function refusal(status, text) {
  const code = /<Code>([^<]*)<\/Code>/.exec(text)?.[1] ?? '';
  if (status === 412) return new TransferError('taken', 'An upload of this name exists.', 'Retry to choose what to do.');
  // 409: another upload of this name is being stored.
  if (status === 409 || status === 429 || status >= 500) {
    return new TransferError('busy', `The bucket is busy (${code || status}).`, 'Retry in a moment.');
  }
  if (status === 403) {
    return new TransferError('expired', `The bucket did not accept the signature (${code || status}).`, 'Retry to sign again.');
  }
  return new TransferError('refused', `The bucket refused the file (${code || status}).`, 'Retry, or ask who runs this stack.');
}

/** @param {string} message */
function broken(message) {
  return new TransferError('network', message, 'Check the network, then retry.');
}

function unreadable() {
  return new TransferError(
    'changed',
    'The browser can no longer read the file: it was moved, changed or deleted.',
    'Add the file again.',
  );
}

/** @param {Blob} file */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
