// As much of MediaPipe's TextClassifier as generated apps call: it answers what a file says, a
// category a line, the best first.
package com.google.mediapipe.tasks.text.textclassifier

import android.content.Context
import java.io.File

class Category(private val line: List<String>) {
    fun index(): Int = line[0].toInt()

    fun score(): Float = line[1].toFloat()

    fun categoryName(): String = line[2]
}

class Classifications(private val all: List<Category>) {
    fun categories(): List<Category> = all
}

class ClassificationResult(private val all: List<Classifications>) {
    fun classifications(): List<Classifications> = all
}

class TextClassifierResult(private val result: ClassificationResult) {
    fun classificationResult(): ClassificationResult = result
}

class TextClassifier private constructor(private val path: String) : AutoCloseable {
    fun classify(text: String): TextClassifierResult {
        val lines = File("$path.$text").readLines().map { Category(it.split(" ", limit = 3)) }
        return TextClassifierResult(ClassificationResult(listOf(Classifications(lines))))
    }

    override fun close() = Unit

    companion object {
        @JvmStatic
        fun createFromFile(context: Context, path: String): TextClassifier = TextClassifier(path)
    }
}
