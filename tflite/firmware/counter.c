/* Counts by SysTick, the timer that every Cortex-M has: 24 bits downwards, and an interrupt a wrap.
 *
 * Under -icount every instruction takes 2^ICOUNT_SHIFT ns, so ticks of a clock of CLOCK_HZ tell
 * instructions: exactly, where a tick is shorter than an instruction, but for some 20 that the interrupt
 * takes every 2^24 ticks.
 */
#include "board.h"

#define SYST_CSR (*(volatile uint32_t *)0xe000e010)
#define SYST_RVR (*(volatile uint32_t *)0xe000e014)
#define SYST_CVR (*(volatile uint32_t *)0xe000e018)

static volatile uint32_t wraps;

void board_systick(void); /* in the vector table */
void board_systick(void) { wraps++; }

void board_count(void) {
  SYST_CSR = 0;
  SYST_RVR = 0xffffff;
  SYST_CVR = 0;
  wraps = 0;
  SYST_CSR = 7; /* the processor's clock, interrupts, on */
}

uint64_t board_ticks(void) {
  uint32_t before, value;
  do {
    before = wraps;
    value = SYST_CVR;
  } while (before != wraps);
  /* It goes from 0 at the start to 2^24 - 1, and the interrupt comes as it reaches 0 again. */
  return ((uint64_t)before << 24) + (-value & 0xffffff);
}

uint64_t board_instructions(uint64_t ticks) {
#ifdef ICOUNT_SHIFT
  return ticks * 1000000 / (CLOCK_HZ / 1000 << ICOUNT_SHIFT);
#else
  return ticks;
#endif
}
