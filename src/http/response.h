/* response.h - how a response's strings are kept. */
#ifndef TRINE_HTTP_RESPONSE_H
#define TRINE_HTTP_RESPONSE_H

#include <trine/http.h>

/* Empties it for a new request; its memory stays. */
void response_reset(trine_http_response *r);

/* Ends a request: fills in the strings, with copies of `url` and `error`. 0 or -ENOMEM. */
int response_finish(trine_http_response *r, const char *url, const char *error);

#endif
