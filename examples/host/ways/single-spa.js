// The widget in a page that single-spa runs.
import { mountRootParcel, registerApplication, start } from 'single-spa';

const load = () => import('causeway/parcel');
const domElement = /** @type {HTMLElement} */ (document.querySelector('#chat'));
const application = /** @type {HTMLElement} */ (document.querySelector('#application'));
const toggle = /** @type {HTMLButtonElement} */ (document.querySelector('#toggle'));
const rename = /** @type {HTMLButtonElement} */ (document.querySelector('#rename'));

const parcel = mountRootParcel(load, { domElement, heading: 'Operations desk' });
rename.onclick = () => parcel.update?.({ domElement, heading: 'Night shift' });
toggle.onclick = async () => {
  if (parcel.getStatus() === 'MOUNTED') await parcel.unmount();
  else await parcel.mount();
  toggle.textContent = parcel.getStatus() === 'MOUNTED' ? 'Remove the parcel' : 'Mount the parcel';
};

registerApplication({
  name: 'desk',
  app: load,
  activeWhen: (/** @type {Location} */ { hash }) => hash.startsWith('#/desk'),
  customProps: { domElement: application, heading: 'Desk as an application' },
});
start();
