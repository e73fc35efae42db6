/* What newlib's printf and malloc need, for test programs; the engine needs none of it. */
#include "board.h"

#include <errno.h>
#include <sys/stat.h>

extern char bss_end[], ram_end[];

int _write(int file, const char *data, int size);
int _read(int file, char *data, int size);
void *_sbrk(ptrdiff_t increment);
int _close(int file);
int _fstat(int file, struct stat *status);
int _isatty(int file);
int _lseek(int file, int offset, int origin);
int _getpid(void);
int _kill(int process, int signal);
void _exit(int code) __attribute__((noreturn));

int _write(int file, const char *data, int size) {
  (void)file;
  for (int i = 0; i < size; i++) board_print((const char[]){data[i], 0});
  return size;
}

/* The heap is what RAM is left behind the data. */
void *_sbrk(ptrdiff_t increment) {
  static char *top = bss_end;
  if (increment > ram_end - top) {
    errno = ENOMEM;
    return (void *)-1;
  }
  top += increment;
  return top - increment;
}

int _fstat(int file, struct stat *status) {
  (void)file;
  status->st_mode = S_IFCHR;
  return 0;
}

int _isatty(int file) {
  (void)file;
  return 1;
}

int _read(int file, char *data, int size) {
  (void)file, (void)data, (void)size;
  return 0;
}

int _close(int file) {
  (void)file;
  return -1;
}

int _lseek(int file, int offset, int origin) {
  (void)file, (void)offset, (void)origin;
  return 0;
}

int _getpid(void) { return 1; }

int _kill(int process, int signal) {
  (void)process, (void)signal;
  return -1;
}

void _exit(int code) { board_exit(code); }
