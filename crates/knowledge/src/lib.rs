//! What TCP states, flags, errnos and sysctls mean, in English and Simplified Chinese.
