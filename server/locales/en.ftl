# Sentences for the user, the text `e` of a response (docs/protocol.md, section 5).

# A date in words. ICU gives the day and the month in the form that the language asks for.
date = { $dayAndMonth }, { $year }

outdated-version = The software version is outdated.
key-bound-to-another-device = The key was bound to another device on { $date }. To bind it again, use your personal account.
integrity-breach = The integrity of the software is broken. Please contact technical support with the code: { $code }
license-not-found = The license key was not found. Check that it is typed correctly.
license-expired = The license expired on { $date }. Use your personal account to renew it.
license-suspended = The license is suspended. Please contact technical support.
bad-request = The server did not accept the request ({ $part }).
unknown-method = The server does not know the method “{ $method }”.
invalid-session = The session is not valid. Please log in again.
rate-limited =
    { $seconds ->
        [one] Too many requests. Please try again in { $seconds } second.
       *[other] Too many requests. Please try again in { $seconds } seconds.
    }
internal-error = An error happened on the server. Please try again later.
