/* icuuc.dll, which Windows 10 has and Wine has not. Qt6Core needs it to load. It converts text in other
   encodings than UTF-8, UTF-16, UTF-32 and Latin-1, of which the application has none: no converter can
   be opened here. */
#include <stdint.h>

#define EXPORT __declspec(dllexport)
enum { FILE_ACCESS_ERROR = 4, ILLEGAL_ARGUMENT_ERROR = 1 };

static void fail(int *error, int code) {
    if (error)
        *error = code;
}

EXPORT void *ucnv_open(const char *name, int *error) {
    (void)name;
    fail(error, FILE_ACCESS_ERROR);
    return 0;
}
EXPORT void ucnv_close(void *converter) { (void)converter; }
EXPORT void ucnv_reset(void *converter) { (void)converter; }
EXPORT int8_t ucnv_getMaxCharSize(const void *converter) {
    (void)converter;
    return 1;
}
EXPORT const char *ucnv_getName(const void *converter, int *error) {
    (void)converter;
    fail(error, ILLEGAL_ARGUMENT_ERROR);
    return 0;
}
EXPORT const char *ucnv_getStandardName(const char *name, const char *standard, int *error) {
    (void)name, (void)standard;
    fail(error, ILLEGAL_ARGUMENT_ERROR);
    return 0;
}
EXPORT const char *ucnv_getAvailableName(int32_t number) {
    (void)number;
    return 0;
}
EXPORT int32_t ucnv_countAvailable(void) { return 0; }
EXPORT int32_t ucnv_toUCountPending(const void *converter, int *error) {
    (void)converter, (void)error;
    return 0;
}
EXPORT int32_t ucnv_fromUCountPending(const void *converter, int *error) {
    (void)converter, (void)error;
    return 0;
}
/* Of functions that work on an open converter the names are enough: there never is one. */
EXPORT void UCNV_FROM_U_CALLBACK_SUBSTITUTE(void) {}
EXPORT void UCNV_TO_U_CALLBACK_SUBSTITUTE(void) {}
EXPORT void ucnv_getToUCallBack(const void *converter, void **action, const void **context) {
    (void)converter;
    if (action)
        *action = 0;
    if (context)
        *context = 0;
}
EXPORT void ucnv_getFromUCallBack(const void *converter, void **action, const void **context) {
    ucnv_getToUCallBack(converter, action, context);
}
EXPORT void ucnv_setToUCallBack(void) {}
EXPORT void ucnv_setFromUCallBack(void) {}
EXPORT void ucnv_cbToUWriteUChars(void) {}
EXPORT void ucnv_cbFromUWriteUChars(void) {}
EXPORT void ucnv_toUnicode(void) {}
EXPORT void ucnv_fromUnicode(void) {}
