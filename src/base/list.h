/* list.h - an intrusive doubly linked list: the node lives in the object, so that joining and
 * leaving never allocate and leaving needs no search. A head and a detached node point at
 * themselves. */
#ifndef TRINE_BASE_LIST_H
#define TRINE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

enum { CACHE_LINE = 64 };

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define LIST_EACH(node, head)                                                                      \
    for (struct list *node = (head)->next, *node##_next_ = node->next; node != (head);             \
         node = node##_next_, node##_next_ = node->next)

static inline void list_init(struct list *l) {
    l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l) {
    return l->next == l;
}

static inline void list_push(struct list *head, struct list *node) {
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_push_front(struct list *head, struct list *node) {
    list_push(head->next, node);
}

/* Takes a node out that nobody will look at until it joins a list again. */
static inline void list_unlink(struct list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

static inline void list_remove(struct list *node) {
    list_unlink(node);
    list_init(node);
}

static inline struct list *list_pop(struct list *head) {
    struct list *node = head->next;
    if (node == head)
        return NULL;
    list_remove(node);
    return node;
}

static inline size_t list_count(const struct list *head) {
    size_t n = 0;
    LIST_EACH(node, head)
    n++;
    return n;
}

/* All nodes of `from` go to the end of `to`. */
static inline void list_append(struct list *to, struct list *from) {
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
