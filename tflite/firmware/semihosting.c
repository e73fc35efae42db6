/* Semihosting: a breakpoint with an operation in r0 and its argument in r1, which whoever debugs the
 * core carries out. For a serial port, replace this file by one that writes and reads its registers.
 *
 * Source: Arm, "Semihosting for AArch32 and AArch64".
 */
#include "board.h"

enum { SYS_WRITE0 = 0x04, SYS_READC = 0x07, SYS_EXIT_EXTENDED = 0x20 };
enum { APPLICATION_EXIT = 0x20026 };
enum { END_OF_TRANSMISSION = 4 };

static uintptr_t semihost(uintptr_t operation, const void *argument) {
  register uintptr_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void board_print(const char *text) { semihost(SYS_WRITE0, text); }

void board_print_number(uint64_t number) {
  char digits[21], *first = digits + sizeof digits - 1;
  *first = 0;
  do *--first = (char)('0' + number % 10); while (number /= 10);
  board_print(first);
}

int board_read(void) {
  const int byte = (int)semihost(SYS_READC, NULL);
  return byte == END_OF_TRANSMISSION ? -1 : byte & 0xff;
}

void board_exit(int code) {
  const uint32_t reason[2] = {APPLICATION_EXIT, (uint32_t)code};
  for (;;) semihost(SYS_EXIT_EXTENDED, reason);
}
