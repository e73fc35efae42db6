/* What a program on a bare Cortex-M gets from this folder: text in and out, an instruction counter,
 * and how much stack it used. main's result becomes the exit code.
 */
#ifndef BEEX_BOARD_H
#define BEEX_BOARD_H

#include <stddef.h>
#include <stdint.h>

/* === Text, by semihosting: a debugger or an emulator carries it === */

/* A C string. */
void board_print(const char *text);

/* In decimal. */
void board_print_number(uint64_t number);

/* The next byte of the input, or -1 behind its end, which the byte 4 (end of transmission) marks. */
int board_read(void);

void board_exit(int code) __attribute__((noreturn));

/* === Counter === */

/* Starts it at 0. */
void board_count(void);

/* Ticks of the processor's clock since then. */
uint64_t board_ticks(void);

/* Instructions of so many ticks, under QEMU with -icount shift=ICOUNT_SHIFT; where that is not defined,
 * as on real boards, the ticks themselves: cycles. */
uint64_t board_instructions(uint64_t ticks);

/* === Memory === */

/* The deepest that the stack has been, in bytes: what of its paint is gone. */
size_t board_stack_used(void);

#endif
