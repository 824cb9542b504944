package PACKAGE

import java.io.File
import org.tensorflow.lite.Interpreter

fun main(args: Array<String>) {
    Interpreter.path = args[0]
    val file = File(args[0]).readBytes()
    val numbers = generateSequence(::readLine).flatMap { it.trim().split(" ") } // features tokens
    val model = Model(file, File(args[1]).readLines()) // text
    val model = Model(file) // features tokens
    val answer = model.answer(args[2]) // text
    val answer = model.answer(numbers.map { it.toFloat() }.chunked(Model.FEATURES) { it.toFloatArray() }.toList()) // features
    val answer = model.answer(numbers.map { it.toInt() }.toList()) // tokens
    answer.forEach(::println) // regression
    answer.forEach { println("${it.score} ${it.label}") } // sequence_labelling
    answer.scores.forEach { (label, score) -> println("$score $label") } // binary multiclass
    answer.scores.forEach { (label, score) -> println("${if (label in answer.labels) '+' else '-'} $score $label") } // multilabel
    println(answer.label) // binary multiclass
}
