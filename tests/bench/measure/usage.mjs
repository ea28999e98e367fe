// What the processes of a program use, by /proc: so on Linux only.

import { readFileSync, readdirSync } from 'node:fs';

/** Of Linux on all machines of today. */
const TICKS_PER_SECOND = 100;

/**
 * Resident memory, and the processor time since the start, of a part's process group.
 * @param {import('../../../scripts/stack/process.mjs').Part} part
 */
export function usage(part) {
  let [kilobytes, ticks] = [0, 0];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      // After the name in parentheses: state, parent, process group; the times stand ten fields further.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop()?.split(' ') ?? [];
      if (Number(fields[2]) !== part.pid) continue;
      ticks += Number(fields[11]) + Number(fields[12]);
      kilobytes += Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+) kB$/m)?.[1] ?? 0);
    } catch {
      // The process has ended.
    }
  }
  if (!kilobytes) throw new Error(`${part.name} has no process`);
  return { kilobytes, cpuSeconds: ticks / TICKS_PER_SECOND };
}

/** The usage of several parts together. @param {readonly Parameters<typeof usage>[0][]} parts */
export function usageOfAll(parts) {
  const all = parts.map(usage);
  return {
    kilobytes: all.reduce((sum, one) => sum + one.kilobytes, 0),
    cpuSeconds: all.reduce((sum, one) => sum + one.cpuSeconds, 0),
  };
}
