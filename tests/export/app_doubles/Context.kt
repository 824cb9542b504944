package android.content

class Context
