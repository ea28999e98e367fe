// Angular sets properties, whether or not the element is defined. The schema says that `chat-widget` is an element.
// Here templates are compiled in the browser; an application that the Angular CLI builds leaves out the first import.

import '@angular/compiler';
import { Component, CUSTOM_ELEMENTS_SCHEMA, signal } from '@angular/core';
import { bootstrapApplication } from '@angular/platform-browser';

const target = document.querySelector<HTMLElement>('#app');

@Component({
  selector: '#app',
  schemas: [CUSTOM_ELEMENTS_SCHEMA],
  template: `
    <button (click)="isOpen.set(!isOpen())">{{ isOpen() ? 'Close' : 'Open' }}</button>
    <button (click)="heading.set('Orders')">Rename</button>
    <output>{{ heard() }}</output>
    @if (isOpen()) {
      <chat-widget
        [heading]="heading()"
        [strings]="strings"
        (chat-status)="heard.set($event.detail.status)"
        (chat-message)="heard.set($event.detail.text)"
      />
    }
  `,
})
class App {
  readonly strings = { placeholder: 'Ask about your order' };
  readonly isOpen = signal(true);
  readonly heading = signal('Support');
  readonly heard = signal('nothing');
}

void import(`${target?.dataset['edge']}/assets/chat-widget.js`);
await bootstrapApplication(App);
