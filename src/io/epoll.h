/* epoll.h - opens the epoll backend; what it does is in core/backend.h. */
#ifndef TRINE_IO_EPOLL_H
#define TRINE_IO_EPOLL_H

#include "core/backend.h"

/* Errors: -ENOMEM, those of epoll_create1. */
int epoll_backend_open(struct backend **ret);

#endif
