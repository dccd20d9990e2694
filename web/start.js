// Starts the page. The page has many files, and a stack may refuse some of them for a moment, for example while its first
// functions start. Loaded files stay in the cache, so each reload gets further.

const ATTEMPTS = 6;
const PAUSE = 500;
const PLACE = 'image-pipeline:failed-starts';

try {
  const links = /** @type {NodeListOf<HTMLLinkElement>} */ (document.querySelectorAll('link[rel=stylesheet]'));
  const missing = [...links].find((link) => !link.sheet);
  if (missing) throw new Error(`Failed to load ${missing.href}`);
  await import('./incoming.js');
  await import('./app.js');
  sessionStorage.removeItem(PLACE);
} catch (error) {
  console.warn(error);
  const failures = Number(sessionStorage.getItem(PLACE)) + 1;
  sessionStorage.setItem(PLACE, String(failures));
  if (failures < ATTEMPTS) setTimeout(() => location.reload(), PAUSE * 2 ** failures * Math.random());
  else giveUp();
}

function giveUp() {
  sessionStorage.removeItem(PLACE);
  const title = document.createElement('h1');
  title.textContent = 'The page could not be loaded completely';
  const text = document.createElement('p');
  text.textContent = 'Check the connection, then try again.';
  const button = document.createElement('button');
  button.textContent = 'Try again';
  button.className = 'button primary';
  button.addEventListener('click', () => location.reload());
  document.querySelector('main')?.replaceChildren(title, text, button);
}
