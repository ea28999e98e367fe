// The machine's monotonic clock, which the program that writes records reads, too. So the time in a record can be
// compared with the time at its listener in another process.

/** Nanoseconds since some point in the past. A number holds them exactly for 104 days. */
export const nanoseconds = () => Number(process.hrtime.bigint());
