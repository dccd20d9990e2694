// Which action helps when an upload has failed.

// These errors are about the file: the same file would fail again.
const REJECTIONS = new Set([
  'UnsupportedFormatError',
  'CorruptImageError',
  'EmptyUploadError',
  'UploadTooLargeError',
  'ImageTooLargeError',
  'UploadVanishedError',
]);

/**
 * @param {{ code: string } | null} error the error of a record.
 * @returns {'replace' | 'reprocess' | null}
 */
export function remedyFor(error) {
  if (!error) return null;
  return REJECTIONS.has(error.code) ? 'replace' : 'reprocess';
}
