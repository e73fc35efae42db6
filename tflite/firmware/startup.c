/* From reset to main, and what becomes of faults.
 *
 * The stack lies at the low end of RAM, so that one too small runs out of RAM and faults, instead of
 * growing into data. It is painted before it is used.
 */
#include "board.h"

/* From memory.ld. */
extern uint32_t stack_start[], stack_end[];
extern const uint32_t data_load[];
extern uint32_t data_start[], data_end[], bss_start[], bss_end[];

#define PAINT 0x5aa5c33cu

#define CPACR (*(volatile uint32_t *)0xe000ed88)
#define CFSR (*(volatile uint32_t *)0xe000ed28) /* what kind of fault */
#define BFAR (*(volatile uint32_t *)0xe000ed38) /* the address that could not be reached */

/* Test programs that also run on a host look for arguments. */
int main(int count, char **arguments);
void board_systick(void);

void reset(void);
void reset(void) {
#ifdef __ARM_FP
  CPACR |= 0xf << 20; /* floating point, and vectors where there are any */
  __asm__ volatile("dsb\n isb" ::: "memory");
#endif
  for (volatile uint32_t *word = __builtin_frame_address(0); --word >= stack_start;) *word = PAINT;
  const uint32_t *from = data_load;
  for (uint32_t *to = data_start; to < data_end;) *to++ = *from++;
  for (uint32_t *to = bss_start; to < bss_end;) *to++ = 0;
  board_exit(main(0, NULL));
}

size_t board_stack_used(void) {
  const uint32_t *word = stack_start;
  while (word < stack_end && *word == PAINT) word++;
  return (size_t)((const char *)stack_end - (const char *)word);
}

static void print_hexadecimal(const char *name, uint32_t number) {
  char digits[] = "0x00000000";
  for (int i = 9; i > 1; i--, number >>= 4) digits[i] = "0123456789abcdef"[number & 15];
  board_print(name);
  board_print(digits);
}

/* frame: r0-r3, r12, lr, pc and psr, as the fault found them, unless there was no room for them. */
__attribute__((used)) static void report_fault(const uint32_t *frame) {
  if (frame < stack_start) {
    board_print("fault: the stack is too small: link with a larger STACK");
  } else {
    print_hexadecimal("fault: at ", frame[6]);
    print_hexadecimal(", CFSR ", CFSR);
    print_hexadecimal(", BFAR ", BFAR);
  }
  board_print("\n");
  board_exit(70);
}

/* The stack may be what is broken, so the report gets a fresh one. */
__attribute__((naked)) static void fault(void) {
  __asm__("mov r0, sp\n ldr r1, =stack_end\n mov sp, r1\n b report_fault");
}

typedef void (*handler)(void);

__attribute__((used, section(".vectors"))) static const struct {
  uint32_t *stack;
  handler handlers[15];
} vectors = {stack_end, {reset, fault, fault, fault, fault, fault, fault, fault, fault, fault,
                         fault, fault, fault, fault, board_systick}};
