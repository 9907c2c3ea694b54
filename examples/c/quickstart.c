/* The quick start in C: connects, makes a call and waits for it, hands a hundred over at once, and
 * cancels one. Its settings come from the environment, as those of the other examples.
 *
 *     scripts/c-header skyline.h
 *     cc -I. quickstart.c -lskyline -o quickstart
 *
 * A program with payloads of its own takes a MessagePack library; here JSON and a few lines do. */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "skyline.h"

enum { CALLS = 100, NEVER_ENDING = 1000, PATIENCE_MS = 20000 };

static void fail(const char *what, const SkylineError *error) {
  fprintf(stderr, "%s: %s (%s)\n", what, error ? skyline_error_text(error) : "it failed",
          error ? skyline_error_code(error) : "-");
  exit(1);
}

/* Bytes that grow. */
typedef struct {
  uint8_t *bytes;
  size_t length, room;
} Buffer;

static void put(Buffer *buffer, const void *bytes, size_t length) {
  if (buffer->room < buffer->length + length) {
    buffer->room = 2 * (buffer->length + length);
    buffer->bytes = realloc(buffer->bytes, buffer->room);
    if (!buffer->bytes) fail("memory", NULL);
  }
  memcpy(buffer->bytes + buffer->length, bytes, length);
  buffer->length += length;
}

/* A str of MessagePack, in its form for up to 65535 bytes. */
static void put_text(Buffer *buffer, const char *text) {
  size_t length = strlen(text);
  uint8_t head[3] = {0xda, (uint8_t)(length >> 8), (uint8_t)length};
  put(buffer, head, sizeof head);
  put(buffer, text, length);
}

static void put_setting(Buffer *buffer, const char *name, const char *variable) {
  const char *value = getenv(variable);
  if (!value) {
    fprintf(stderr, "set %s\n", variable);
    exit(2);
  }
  put_text(buffer, name);
  put_text(buffer, value);
}

static SkylineClient *connect_client(void) {
  Buffer settings = {0};
  put(&settings, "\x86", 1); /* a map of six */
  put_text(&settings, "product_id");
  put_text(&settings, "telepower");
  put_text(&settings, "product_version");
  put_text(&settings, "7.0.3");
  put_setting(&settings, "license_key", "SKYLINE_LICENSE_KEY");
  put_setting(&settings, "url", "SKYLINE_URL");
  put_setting(&settings, "state_folder", "SKYLINE_STATE_FOLDER");
  put_text(&settings, "identity_keys");
  put(&settings, "\x91", 1); /* an array of one */
  const char *key = getenv("SKYLINE_IDENTITY_KEY");
  put_text(&settings, key ? key : "");

  SkylineClient *client = NULL;
  SkylineError *error = NULL;
  if (skyline_client_connect(settings.bytes, settings.length, &client, &error) != SKYLINE_KIND_NONE)
    fail("connecting", error);
  free(settings.bytes);
  return client;
}

/* One call that this thread waits for. */
static void one_call(const SkylineClient *client) {
  const char *method = "get-limits";
  SkylineAnswer answer = {0};
  int32_t done = skyline_call(client, (const uint8_t *)method, strlen(method), NULL, 0, UINT64_MAX,
                              SKYLINE_CALL_IDEMPOTENT | SKYLINE_CALL_JSON, 0, &answer);
  while (!done) done = skyline_answer_wait(&answer, 100); /* a program with signals looks at them here */
  if (answer.error) fail("get-limits", answer.error);
  printf("limits: %.*s\n", (int)answer.payload_len, (const char *)answer.payload);
  skyline_answer_free(&answer);
}

static void put_call(Buffer *records, uint64_t id, const char *method, const char *json) {
  SkylineCallHeader header = {.id = id,
                              .deadline_ms = UINT64_MAX,
                              .method_len = (uint32_t)strlen(method),
                              .payload_len = (uint32_t)strlen(json),
                              .flags = SKYLINE_CALL_PAYLOAD | SKYLINE_CALL_JSON};
  put(records, &header, sizeof header);
  put(records, method, strlen(method));
  put(records, json, strlen(json));
}

/* Many calls at once, their ends collected from an event loop. */
static void many_calls(const SkylineClient *client) {
  SkylineError *error = NULL;
  SkylineQueue *queue = skyline_queue_new(&error);
  if (!queue) fail("a queue", error);

  Buffer records = {0};
  for (uint64_t id = 0; id < CALLS; id++) {
    char json[32];
    snprintf(json, sizeof json, "{\"number\":%d}", (int)id);
    put_call(&records, id, "test.echo", json);
  }
  put_call(&records, CALLS, "no-such-method", "null");
  put_call(&records, NEVER_ENDING, "test.delay", "{\"milliseconds\":50000}");
  if (skyline_submit_many(client, queue, records.bytes, records.length) != SKYLINE_KIND_NONE)
    fail("submitting", NULL);
  free(records.bytes);
  skyline_cancel(queue, NEVER_ENDING);

  int answered = 0, unknown = 0, cancelled = 0;
  while (answered + unknown + cancelled < CALLS + 2) {
    struct pollfd handle = {.fd = (int)skyline_queue_wait_handle(queue), .events = POLLIN};
    if (poll(&handle, 1, PATIENCE_MS) != 1) fail("waiting for completions", NULL);
    SkylineCompletion done[16];
    size_t count = skyline_queue_drain(queue, done, 16);
    for (size_t i = 0; i < count; i++) {
      if (!done[i].error) {
        char json[32];
        int length = snprintf(json, sizeof json, "{\"number\":%d}", (int)done[i].id);
        if (done[i].payload_len != (size_t)length || memcmp(done[i].payload, json, (size_t)length))
          fail("the answer is another call's", NULL);
        answered++;
      } else if (skyline_error_kind(done[i].error) == SKYLINE_KIND_UNKNOWN_METHOD) {
        unknown += done[i].id == CALLS;
      } else if (skyline_error_kind(done[i].error) == SKYLINE_KIND_CANCELLED) {
        cancelled += done[i].id == NEVER_ENDING;
      } else {
        fail("a call", done[i].error);
      }
    }
  }
  printf("answered: %d, unknown method: %d, cancelled: %d\n", answered, unknown, cancelled);
  skyline_queue_free(queue);
}

int main(void) {
  SkylineClient *client = connect_client();
  one_call(client);
  many_calls(client);
  skyline_client_shutdown(client);
  skyline_client_free(client);
  return 0;
}
